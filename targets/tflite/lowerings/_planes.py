"""Narrow pieces of the channels, each in a plane of its own: pixels are taken apart once, not for every piece.

A SLICE of 4 channels out of 16 copies 4 bytes per pixel, at 25 instructions a copy, and so does a CONCATENATION of
such pieces. One TRANSPOSE of 4-byte elements, [pixels, pieces] -> [pieces, pixels], puts the pieces one behind the
other: each is one copy then. Measured on 112x112x16 in int8, instructions per element on a Cortex-A76: taken apart and
put together again, 1.2. Of elements of 8 bytes XNNPACK's transposition takes 4 instructions a byte.
"""

from collections.abc import Sequence

import numpy as np

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Tensor
from edgekit.targets.tflite.layout import channels_last, identity
from edgekit.targets.tflite.lowerings._pieces import MOST_JOINED

NHWC = channels_last(4)
ELEMENT_BYTES = 4
"""Of what XNNPACK transposes in tiles."""


def are_planes(pieces: Sequence[Tensor], whole: Tensor, axis: int) -> bool:
    """Whether pieces of a channels-last int8 map are of that size, so that planes are the cheaper way."""
    return (
        whole.dtype == "int8"
        and len(whole.shape) == 4
        and axis == 1
        and 1 < len(pieces) <= MOST_JOINED
        and all(piece.shape == (1, ELEMENT_BYTES, *whole.shape[2:]) for piece in pieces)
        and whole.shape[1] == ELEMENT_BYTES * len(pieces)
    )


def take_apart(em: Emitter, source: Tensor, pieces: Sequence[Tensor]) -> None:
    """Write each piece of ELEMENT_BYTES channels of an i8[1, C, H, W] that lies channels-last."""
    planes = _transposed(em, em.moved(source, NHWC), (_pixels(source), len(pieces)))
    for index, piece in enumerate(pieces):
        plane = em.scratch(planes, (1, _pixels(source), ELEMENT_BYTES))
        begin, size = np.array([index, 0, 0], np.int32), np.array(plane.shape, np.int32)
        inputs = [em.input(planes), em.parameter(begin, "begin"), em.parameter(size, "size")]
        em.write("SLICE", inputs, plane, identity(3))
        em.reshape(plane, piece, NHWC)


def put_together(em: Emitter, pieces: Sequence[Tensor], output: Tensor) -> None:
    """The pieces beside each other, i8[1, C, H, W] channels-last."""
    flat = [em.scratch(piece, (1, _pixels(output), ELEMENT_BYTES)) for piece in pieces]
    for piece, plane in zip(pieces, flat, strict=True):
        em.reshape(em.moved(piece, NHWC), plane, identity(3))
    joined = em.scratch(output, (len(pieces), _pixels(output), ELEMENT_BYTES))
    em.write("CONCATENATION", [em.input(plane) for plane in flat], joined, identity(3), {"axis": 0})
    em.reshape(_transposed(em, joined, (len(pieces), _pixels(output))), output, NHWC)


def _transposed(em: Emitter, source: Tensor, rows_columns: tuple[int, int]) -> Tensor:
    """The bytes of `source` as a matrix of elements, transposed: i8[columns, rows, ELEMENT_BYTES]."""
    rows, columns = rows_columns
    matrix = em.scratch(source, (rows, columns, ELEMENT_BYTES))
    em.reshape(source, matrix, identity(3))
    result = em.scratch(source, (columns, rows, ELEMENT_BYTES))
    order = em.parameter(np.array([1, 0, 2], np.int32), "permutation")
    em.write("TRANSPOSE", [em.input(matrix), order], result, identity(3))
    return result


def _pixels(tensor: Tensor) -> int:
    return int(np.prod(tensor.shape[2:]))
