"""Operators that move or select data: Reshape, Transpose, Concat, Split, Slice, Gather, Squeeze, Unsqueeze."""

from collections.abc import Sequence

import numpy as np

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.layout import (
    Perm,
    Shape,
    identity,
    reduce_perm,
    regrouped_perm,
    reshape_perm,
    stored_axis,
    stored_shape,
    transpose_perm,
)
from edgekit.targets.tflite.lowerings._pieces import cut, join, pick, runs_of
from edgekit.targets.tflite.lowerings._planes import are_planes, put_together, take_apart
from edgekit.targets.tflite.lowerings._window import VALID
from edgekit.targets.tflite.lowerings.convolution import NHWC, sum_windows
from edgekit.targets.tflite.rules import INTEGERS, lowering


@lowering("Reshape", ("RESHAPE",), integer=INTEGERS, same_quant=True)
def lower_reshape(em: Emitter, node: Node) -> None:
    """A reshape of the data as it lies where its axes allow it; else the input is moved first.

    To ONNX order, or only as far as channels-last needs it: a channel shuffle is one TRANSPOSE of its last two axes.
    """
    source = node.input(0)
    perm = reshape_perm(source.shape, em.layout(source), node.output.shape)
    if perm is None:
        regrouped = regrouped_perm(source.shape, em.layout(source), node.output.shape)
        if regrouped is not None:
            em.reshape(em.moved(source, regrouped), node.output, NHWC)
            return
        source, perm = em.moved(source, identity(len(source.shape))), identity(len(node.output.shape))
    em.reshape(source, node.output, perm)


lowering("Flatten", ("RESHAPE",), integer=INTEGERS, same_quant=True)(lower_reshape)
lowering("Squeeze", ("RESHAPE",), integer=INTEGERS, same_quant=True)(lower_reshape)
lowering("Unsqueeze", ("RESHAPE",), integer=INTEGERS, same_quant=True)(lower_reshape)


@lowering("Identity", (), integer=INTEGERS, same_quant=True)
def lower_identity(em: Emitter, node: Node) -> None:
    em.reshape(node.input(0), node.output, em.layout(node.input(0)))


@lowering("Transpose", (), integer=INTEGERS, same_quant=True)
def lower_transpose(em: Emitter, node: Node) -> None:
    """Only the layout changes: nothing is written until a reader wants another one.

    In Swin that leaves what its windows need: per block one TRANSPOSE each for query, key and value, which cuts windows
    and heads at once, and one that puts both back; one per merging of patches. 51 in Swin-T, all of them delegated.
    """
    source = node.input(0)
    order = tuple(node.attrs.get("perm") or reversed(range(len(source.shape))))
    em.reshape(source, node.output, transpose_perm(em.layout(source), order))


@lowering("Concat", ("CONCATENATION", "TRANSPOSE"), integer=INTEGERS, same_quant=True, joins=True)
def lower_concat(em: Emitter, node: Node) -> None:
    tensors = [tensor for tensor in node.inputs if tensor is not None]
    perm = _common_layout(em, tensors)
    axis = int(node.attrs["axis"]) % len(perm)
    if perm == NHWC and are_planes(tensors, node.output, axis):
        put_together(em, tensors, node.output)
    else:
        join(em, tensors, node.output, perm, axis)


def _common_layout(em: Emitter, tensors: Sequence[Tensor]) -> Perm:
    """The layout in which most of the data lies."""
    weight: dict[Perm, int] = {}
    for tensor in tensors:
        if not tensor.is_constant:
            weight[em.layout(tensor)] = weight.get(em.layout(tensor), 0) + int(np.prod(tensor.shape))
    return max(weight, key=lambda perm: weight[perm]) if weight else identity(len(tensors[0].shape))


def legal_split(node: Node) -> str | None:
    sizes = node.optional(1)
    return "the sizes must be constants" if sizes is not None and sizes.data is None else None


@lowering("Split", ("SLICE", "TRANSPOSE"), integer=INTEGERS, same_quant=True, legal=legal_split)
def lower_split(em: Emitter, node: Node) -> None:
    """SLICE per piece: XNNPACK takes SLICE in float and int8, SPLIT_V it does not."""
    source = node.input(0)
    axis = int(node.attrs.get("axis", 0)) % len(source.shape)
    if em.layout(source) == NHWC and are_planes(node.outputs, source, axis):
        take_apart(em, source, node.outputs)
        return
    begin = 0
    for piece in node.outputs:
        starts = [0] * len(source.shape)
        starts[axis] = begin
        cut(em, source, piece, starts)
        begin += piece.shape[axis]


def legal_slice(node: Node) -> str | None:
    if any(tensor is not None and tensor.data is None for tensor in node.inputs[1:]):
        return "starts, ends, axes and steps must be constants"
    return None


@lowering(
    "Slice", ("SLICE", "STRIDED_SLICE", "DEPTHWISE_CONV_2D"), integer=INTEGERS, same_quant=True, legal=legal_slice
)
def lower_slice(em: Emitter, node: Node) -> None:
    """SLICE at step 1. XNNPACK refuses STRIDED_SLICE with other steps, so every n-th pixel of a feature map (the
    shortcut of CIFAR ResNets) is a depthwise convolution with ones, which is exact, and which it takes.
    """
    source = node.input(0)
    starts, steps = slice_bounds(node)
    if all(step == 1 for step in steps):
        cut(em, source, node.output, starts)
        return
    perm = em.layout(source)
    if min(steps) > 0 and source.dtype in ("float32", "int8") and _subsample_as_pixels(em, node, starts, steps):
        return
    ends = [
        s + (n - 1) * step + (1 if step > 0 else -1)
        for s, n, step in zip(starts, node.output.shape, steps, strict=True)
    ]
    # A negative step that ends before the first element needs TFLite's mask: -1 would mean the last element.
    end_mask = sum(1 << i for i, axis in enumerate(perm) if ends[axis] < 0)
    bounds = [np.array(stored_shape(tuple(v), perm), np.int32) for v in (starts, ends, steps)]
    inputs = [em.input(source), *(em.parameter(v, n) for v, n in zip(bounds, ("begin", "end", "strides"), strict=True))]
    version = (4, "2.2.0") if len(perm) > 4 else None
    em.write("STRIDED_SLICE", inputs, node.output, perm, {"endMask": end_mask}, version=version)


def _subsample_as_pixels(em: Emitter, node: Node, starts: list[int], steps: list[int]) -> bool:
    """Whatever axes are strided: stored side by side they are rows and columns, what is stored behind them channels."""
    source, output = node.input(0), node.output
    perm = em.layout(source)
    strided = [place for place, axis in enumerate(perm) if steps[axis] != 1]
    first, last = strided[0], strided[-1]
    if len(strided) > 2 or last - first > 1 or any(starts[axis] for axis in perm[:first]):
        return False
    shape, made = stored_shape(source.shape, perm), stored_shape(output.shape, perm)
    behind = [axis for axis in perm[last + 1 :] if starts[axis] or source.shape[axis] != output.shape[axis]]
    if behind or shape[:first] != made[:first]:
        return False
    images, channels = int(np.prod(shape[:first])), int(np.prod(shape[last + 1 :]))

    def pixels(stored: Shape) -> Shape:
        rows, columns = (stored[first], stored[last]) if last > first else (stored[first], 1)
        return images, channels, rows, columns

    def along(values: list[int], other: int) -> list[int]:
        return [other, other, values[perm[first]], values[perm[last]] if last > first else other]

    flat, picked = em.scratch(source, pixels(shape)), em.scratch(output, pixels(made))
    em.reshape(source, flat, NHWC)
    _subsample(em, flat, picked, along(starts, 0), along(steps, 1))
    em.reshape(picked, output, perm)
    return True


def _subsample(em: Emitter, source: Tensor, output: Tensor, starts: list[int], steps: list[int]) -> None:
    """Every n-th row and column as DEPTHWISE_CONV_2D 1x1; the rows and columns before and behind are cut off first."""
    reach = tuple((size - 1) * step + 1 for size, step in zip(output.shape, steps, strict=True))
    if any(starts) or any(
        -(-have // step) != n for have, step, n in zip(source.shape, steps, output.shape, strict=True)
    ):
        read = em.scratch(source, reach)
        cut(em, source, read, starts)
        source = read
    options = {"padding": VALID, "strideH": steps[2], "strideW": steps[3]}
    sum_windows(em, source, output, (1, 1), 1.0, options)


def slice_bounds(node: Node) -> tuple[list[int], list[int]]:
    """(start, step) per ONNX axis of a Slice with constant parameters, starts clamped into the input."""
    shape = node.input(0).shape
    starts, steps = [0] * len(shape), [1] * len(shape)
    begin = [int(v) for v in node.input(1).numbers().reshape(-1)]
    axes_tensor, steps_tensor = node.optional(3), node.optional(4)
    axes = range(len(begin)) if axes_tensor is None else [int(v) for v in axes_tensor.numbers().reshape(-1)]
    step = [1] * len(begin) if steps_tensor is None else [int(v) for v in steps_tensor.numbers().reshape(-1)]
    for axis, start, stride in zip(axes, begin, step, strict=True):
        size = shape[axis]
        start = start + size if start < 0 else start
        starts[axis] = min(max(start, 0), size if stride > 0 else size - 1)
        steps[axis] = stride
    return starts, steps


def legal_gather(node: Node) -> str | None:
    if node.input(1).data is None and node.input(0).dtype not in ("float32", "int8", "int16"):
        return f"computed places in {node.input(0).dtype} have no rule"
    return None


MOST_RUNS = 16
"""Pieces of neighbours that are cut out and joined instead of one GATHER, which XNNPACK refuses."""


@lowering("Gather", ("GATHER", "SLICE", "CONCATENATION"), integer=INTEGERS, same_quant=True, legal=legal_gather)
def lower_gather(em: Emitter, node: Node) -> None:
    """One constant index, or a run of them, is a SLICE (and a reshape), a few runs SLICEs and a CONCATENATION."""
    if node.input(1).data is None:
        _gather_computed(em, node)
        return
    source, indices = node.input(0), node.input(1).numbers().astype(np.int64)
    axis = int(node.attrs.get("axis", 0)) % len(source.shape)
    flat = indices.reshape(-1) % source.shape[axis]
    picked = em.scratch(node.output, (*source.shape[:axis], flat.size, *source.shape[axis + 1 :]))
    runs = runs_of(flat.tolist())
    if len(runs) == 1:
        starts = [0] * len(source.shape)
        starts[axis] = int(flat[0])
        cut(em, source, picked, starts)
    elif len(runs) <= MOST_RUNS and not source.is_constant:
        pick(em, source, picked, em.layout(source), axis, runs)
    else:
        perm = em.layout(source)
        inputs = [em.input(source), em.parameter(flat.astype(np.int32), "indices")]
        em.write("GATHER", inputs, picked, perm, {"axis": stored_axis(perm, axis)})
    _regroup(em, picked, node.output, axis, indices.ndim)


def _gather_computed(em: Emitter, node: Node) -> None:
    """Places that depend on the image, on ONNX order."""
    source, places = node.input(0), node.input(1)
    axis = int(node.attrs.get("axis", 0)) % len(source.shape)
    inputs = [em.input(source, identity(len(source.shape))), em.input(places, identity(len(places.shape)))]
    em.write("GATHER", inputs, node.output, identity(len(node.output.shape)), {"axis": axis})


def _regroup(em: Emitter, picked: Tensor, output: Tensor, axis: int, index_rank: int) -> None:
    """The gathered axis takes the indices' own shape (a scalar index drops it)."""
    perm = em.layout(picked)
    new_perm = reduce_perm(perm, {axis}) if index_rank == 0 else reshape_perm(picked.shape, perm, output.shape)
    if new_perm is None:
        picked, new_perm = em.moved(picked, identity(len(picked.shape))), identity(len(output.shape))
    em.reshape(picked, output, new_perm)
