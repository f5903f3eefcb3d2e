"""Cutting a piece out of a tensor and joining pieces, in operators that XNNPACK takes."""

from collections.abc import Sequence

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
