"""Layout as a permutation: in which order a tensor's ONNX axes are stored.

A permutation `p` means: stored axis i is ONNX axis p[i]. NCHW kept as it is has (0, 1, 2, 3); channels-last has
(0, 2, 3, 1). A layout is never a property of an operator: it travels with the value, so an ONNX Transpose costs nothing
and a TRANSPOSE is emitted only where two wishes collide.
"""

from itertools import accumulate
from math import prod

Perm = tuple[int, ...]
Shape = tuple[int, ...]


def identity(rank: int) -> Perm:
    return tuple(range(rank))


def channels_last(rank: int) -> Perm:
    """(0, 2, .., rank-1, 1): N, spatial axes, C."""
    return (0, *range(2, rank), 1) if rank > 2 else identity(rank)


def stored_shape(shape: Shape, perm: Perm) -> Shape:
    return tuple(shape[axis] for axis in perm)


def stored_axis(perm: Perm, axis: int) -> int:
    """Where ONNX axis `axis` (may be negative) is stored."""
    return perm.index(axis % len(perm))


def same_order(shape: Shape, a: Perm, b: Perm) -> bool:
    """Whether two layouts hold the same bytes: axes of size 1 may stand anywhere."""
    return [axis for axis in a if shape[axis] != 1] == [axis for axis in b if shape[axis] != 1]


def between(source: Perm, wanted: Perm) -> Perm:
    """The TRANSPOSE that turns a tensor stored as `source` into `wanted`."""
    return tuple(source.index(axis) for axis in wanted)


def transpose_perm(perm: Perm, transpose: Perm) -> Perm:
    """Layout of ONNX Transpose(x, transpose) when x, stored as `perm`, is left untouched."""
    return tuple(transpose.index(axis) for axis in perm)


def reduce_perm(perm: Perm, axes: set[int]) -> Perm:
    """Layout after the ONNX axes `axes` were dropped."""
    kept = [axis for axis in range(len(perm)) if axis not in axes]
    return tuple(kept.index(axis) for axis in perm if axis not in axes)


def reshape_perm(shape: Shape, perm: Perm, new_shape: Shape) -> Perm | None:
    """Layout of ONNX Reshape(x, new_shape) when x, stored as `perm`, is reshaped as it lies; None if it must move.

    Input and output axes fall into the smallest groups with equal products. The reshape is free of movement when each
    group's input axes are stored side by side in ONNX order: then the output axes of the groups follow in stored order.
    A channel shuffle's [N, C, H, W] -> [N, g, C/g, H, W] is such a case, and so is [N, C, 1, 1] -> [N, C].
    """
    groups = _reshape_groups(shape, new_shape)
    if groups is None:
        return None
    group_of = {axis: index for index, (axes, _) in enumerate(groups) for axis in axes}
    order: list[int] = []
    stored = [axis for axis in perm if shape[axis] != 1]
    position = 0
    while position < len(stored):
        axes, new_axes = groups[group_of[stored[position]]]
        wide = [axis for axis in axes if shape[axis] != 1]
        if stored[position : position + len(wide)] != wide:
            return None
        order += new_axes
        position += len(wide)
    placed = set(order)
    unit_axes = [axis for axis in range(len(new_shape)) if axis not in placed]
    return _insert_unit_axes(order, unit_axes)


def regrouped_perm(shape: Shape, perm: Perm, new_shape: Shape) -> Perm | None:
    """Layout to move x to, so that Reshape(x, new_shape) lies channels-last; None where that moves more than channels.

    The end of a channel shuffle: [N, C/g, g, H, W], stored N, H, W, g, C/g, becomes [N, C, H, W]. Only the last two
    axes are exchanged, and what reads the result finds it where it wants it.
    """
    wanted = reshape_perm(new_shape, channels_last(len(new_shape)), shape) if len(new_shape) == 4 else None
    if wanted is None:
        return None
    outer = len(new_shape) - 1
    return wanted if same_order(shape, perm[:outer], wanted[:outer]) else None


def _reshape_groups(shape: Shape, new_shape: Shape) -> list[tuple[list[int], list[int]]] | None:
    """Smallest groups (input axes, output axes) of equal product, in ONNX order; axes of size 1 are left out."""
    if 0 in shape or prod(shape) != prod(new_shape):
        return None
    old = [axis for axis, size in enumerate(shape) if size != 1]
    new = [axis for axis, size in enumerate(new_shape) if size != 1]
    old_ends = list(accumulate((shape[axis] for axis in old), lambda a, b: a * b))
    new_ends = list(accumulate((new_shape[axis] for axis in new), lambda a, b: a * b))
    groups: list[tuple[list[int], list[int]]] = []
    old_start = new_start = 0
    for end in sorted(set(old_ends) & set(new_ends)):
        old_stop, new_stop = old_ends.index(end) + 1, new_ends.index(end) + 1
        groups.append((old[old_start:old_stop], new[new_start:new_stop]))
        old_start, new_start = old_stop, new_stop
    return groups


def _insert_unit_axes(order: list[int], unit_axes: list[int]) -> Perm:
    """Axes of size 1 hold no bytes; put each before the first larger axis so that ordinary layouts stay ordinary."""
    perm = list(order)
    for axis in unit_axes:
        position = next((i for i, other in enumerate(perm) if other > axis), len(perm))
        perm.insert(position, axis)
    return tuple(perm)
