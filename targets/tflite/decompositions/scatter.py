"""ScatterND and ScatterElements at constant places: slices that were assigned to."""

from itertools import pairwise

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.passes.rewrite import constant, for_each, shape_of, string_attribute
from edgekit.targets.tflite.decompositions._steps import Steps

MOST_RUNS = 16
"""Pieces that are put together by Slices and a Concat; more are picked by one Gather, which XNNPACK refuses."""


def decompose_scatter(model: ir.Model) -> bool:
    """Rows of the data and rows of the updates, put together in the order of the result.

    Skips: computed places; a reduction.
    """
    return for_each(model, ("ScatterND",), _decompose)


def _decompose(node: ir.Node) -> bool:
    data, places, updates = node.inputs[:3]
    shape, index = shape_of(data), constant(places)
    if shape is None or index is None or data is None or updates is None:
        return False
    if string_attribute(node, "reduction", "none") != "none" or index.size == 0 or data.dtype != ir.DataType.FLOAT:
        return False
    depth = index.shape[-1]
    leading, row = shape[:depth], int(np.prod(shape[depth:]))
    count = int(np.prod(leading))
    rows = np.ravel_multi_index(tuple(np.moveaxis(index % np.array(leading), -1, 0)), leading).reshape(-1)
    picked = np.arange(count)
    picked[rows] = count + np.arange(rows.size)  # where a place is named twice, the last one stays
    steps = Steps(node)
    old, new = steps.reshape(data, count, row), steps.reshape(updates, rows.size, row)
    return steps.replace(steps.reshape(_put_together(steps, old, new, count, picked), *shape))


def _put_together(steps: Steps, old: ir.Value, new: ir.Value, count: int, picked: NDArray[np.int64]) -> ir.Value:
    breaks = [0, *(i for i, (a, b) in enumerate(pairwise(picked.tolist()), 1) if b != a + 1 or b == count), len(picked)]
    if len(breaks) > MOST_RUNS:
        both = steps.op("Concat", old, new, axis=0)
        return steps.op("Gather", both, steps.constant(picked, "int64"), axis=0)
    parts = []
    for begin, end in pairwise(breaks):
        source, first = (old, int(picked[begin])) if picked[begin] < count else (new, int(picked[begin]) - count)
        parts.append(steps.cut(source, 0, first, first + end - begin))
    return steps.op("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]
