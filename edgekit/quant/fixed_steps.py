"""The steps of kernels that write at one scale of their own: what an output cannot be asked to hold finer."""

import onnx_ir as ir

from edgekit.quant.parameters import FIXED

MOVES = (
    "QuantizeLinear",
    "DequantizeLinear",
    "Concat",
    "Reshape",
    "Transpose",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Slice",
)
"""Operators that move values and change none."""


def fixed_steps(model: ir.Model) -> dict[str, float]:
    """Output of a QDQ graph -> the largest fixed step of the kernels that write it; outputs without one are absent."""
    found = {}
    for output in model.graph.outputs:
        steps = [FIXED[key].scale for key in _writers(output) if key in FIXED]
        if steps:
            found[str(output.name)] = max(steps)
    return found


def _writers(output: ir.Value) -> list[tuple[str, str]]:
    """(operator, dtype that its result is stored in) of what writes an output, moved or joined afterwards or not."""
    pending: list[tuple[ir.Value, str]] = [(output, "")]
    found = []
    while pending:
        value, stored = pending.pop()
        node = value.producer()
        if node is None:
            continue
        if node.op_type not in MOVES:
            found.append((node.op_type, stored))
            continue
        if node.op_type == "QuantizeLinear" and node.outputs[0].dtype is not None:
            stored = "int16" if node.outputs[0].dtype.bitwidth == 16 else "int8"
        moved = node.inputs if node.op_type == "Concat" else node.inputs[:1]
        pending.extend((source, stored) for source in moved if source is not None)
    return found
