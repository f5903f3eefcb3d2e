"""GridSample with a grid that depends on no image: each pixel is a weighted sum of up to four others."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.passes.rewrite import constant, for_each, int_attribute, shape_of, string_attribute
from edgekit.targets.tflite.decompositions._steps import Steps

Array = NDArray[np.float64]
MODES = {"linear": "linear", "bilinear": "linear", "nearest": "nearest"}


def decompose_grid_sample(model: ir.Model) -> bool:
    """GridSample by a constant grid becomes Gathers along the pixels, times their weights, added.

    Source: ONNX operator GridSample-20. Skips: a computed grid; cubic; more than one image or two axes.
    """
    return for_each(model, ("GridSample",), _decompose)


def _decompose(node: ir.Node) -> bool:
    grid, before, after = constant(node.inputs[1]), shape_of(node.inputs[0]), shape_of(node.outputs[0])
    mode = MODES.get(string_attribute(node, "mode", "linear"))
    if grid is None or before is None or after is None or mode is None or len(before) != 4 or before[0] != 1:
        return False
    aligned = bool(int_attribute(node, "align_corners"))
    padding = string_attribute(node, "padding_mode", "zeros")
    columns, rows = (
        _reflected(_unscaled(grid[0, ..., axis].reshape(-1).astype(np.float64), size, aligned), size, aligned, padding)
        for axis, size in ((0, before[3]), (1, before[2]))
    )
    steps = Steps(node)
    pixels = steps.reshape(node.inputs[0], 1, before[1], before[2] * before[3])  # type: ignore[arg-type]
    total = None
    for row, column, weight in _corners(rows, columns, mode):
        inside = (row >= 0) & (row < before[2]) & (column >= 0) & (column < before[3])
        places = np.clip(row, 0, before[2] - 1) * before[3] + np.clip(column, 0, before[3] - 1)
        weight = np.where(inside, weight, 0.0)
        if not weight.any():
            continue
        part = steps.op("Gather", pixels, steps.constant(places.astype(np.int64), "int64"), axis=2)
        if (weight != 1).any():
            part = steps.op("Mul", part, steps.constant(weight))
        total = part if total is None else steps.op("Add", total, part)
    if total is None:
        return False
    return steps.replace(steps.reshape(total, *after))


def _unscaled(at: Array, size: int, aligned: bool) -> Array:
    """From -1..1 to pixels."""
    return (at + 1) / 2 * (size - 1) if aligned else ((at + 1) * size - 1) / 2


def _reflected(at: Array, size: int, aligned: bool, padding: str) -> Array:
    if padding == "border":
        return np.clip(at, 0, size - 1)
    if padding != "reflection":
        return at
    low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
    if high == low:
        return np.zeros_like(at)
    turned = np.abs((at - low) % (2 * (high - low)))
    return np.clip(np.where(turned > high - low, 2 * (high - low) - turned, turned) + low, 0, size - 1)


def _corners(rows: Array, columns: Array, mode: str) -> list[tuple[NDArray[np.int64], NDArray[np.int64], Array]]:
    """(row, column, weight) of each pixel that is read."""
    if mode == "nearest":
        return [(np.rint(rows).astype(np.int64), np.rint(columns).astype(np.int64), np.ones_like(rows))]
    top, left = np.floor(rows), np.floor(columns)
    down, right = rows - top, columns - left
    return [
        (
            (top + i).astype(np.int64),
            (left + j).astype(np.int64),
            (down if i else 1 - down) * (right if j else 1 - right),
        )
        for i in range(2)
        for j in range(2)
    ]
