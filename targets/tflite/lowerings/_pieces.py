"""Cutting a piece out of a tensor and joining pieces, in operators that XNNPACK takes."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Tensor
from edgekit.targets.tflite.layout import Perm, stored_axis, stored_shape

MOST_JOINED = 5
"""Inputs of a CONCATENATION that XNNPACK takes."""


def cut(em: Emitter, source: Tensor, output: Tensor, starts: Sequence[int]) -> None:
    """SLICE: `output`'s shape from `starts` on, both in ONNX order."""
    perm = em.layout(source)
    begin = np.array(stored_shape(tuple(starts), perm), np.int32)
    size = np.array(stored_shape(output.shape, perm), np.int32)
    inputs = [em.input(source), em.parameter(begin, "begin"), em.parameter(size, "size")]
    em.write("SLICE", inputs, output, perm, version=(5, "2.5.0") if len(perm) > 4 else None)
    if em.is_non_negative(source):
        em.mark_non_negative(output)


def runs_of(picked: Sequence[int]) -> list[tuple[int, int]]:
    """Positions along an axis as runs of neighbours, [first, behind the last)."""
    breaks = [0, *(i for i, (a, b) in enumerate(pairwise(picked), 1) if b != a + 1), len(picked)]
    return [(picked[first], picked[stop - 1] + 1) for first, stop in pairwise(breaks)]


def pick(em: Emitter, source: Tensor, output: Tensor, perm: Perm, axis: int, runs: Sequence[tuple[int, int]]) -> None:
    """Positions along an axis side by side: each run is one piece, the same one wherever it stands."""
    pieces: dict[tuple[int, int], Tensor] = {(0, source.shape[axis]): source}
    for low, high in runs:
        if (low, high) not in pieces:
            piece = em.scratch(output, (*source.shape[:axis], high - low, *source.shape[axis + 1 :]))
            cut(em, source, piece, [low if other == axis else 0 for other in range(len(source.shape))])
            pieces[low, high] = piece
    join(em, [pieces[run] for run in runs], output, perm, axis)


def join(em: Emitter, pieces: Sequence[Tensor], output: Tensor, perm: Perm, axis: int) -> None:
    """CONCATENATION along an ONNX axis. Of more pieces than XNNPACK takes, the first ones are joined before."""
    pieces = list(pieces)
    while (extra := len(pieces) - MOST_JOINED) > 0:
        first = pieces[: min(extra + 1, MOST_JOINED)]
        shape = list(output.shape)
        shape[axis] = sum(piece.shape[axis] for piece in first)
        joined = em.scratch(output, tuple(shape))
        join(em, first, joined, perm, axis)
        pieces[: len(first)] = [joined]
    inputs = [em.input(piece, perm) for piece in pieces]
    em.write("CONCATENATION", inputs, output, perm, {"axis": stored_axis(perm, axis)})
    if all(em.is_non_negative(piece) for piece in pieces):
        em.mark_non_negative(output)
