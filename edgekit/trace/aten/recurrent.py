"""LSTM and GRU, one ONNX node per layer.

PyTorch stacks the gates as input, forget, cell, output (LSTM) and reset, update, new (GRU); ONNX as input, output,
forget, cell and update, reset, new. Source: ONNX operators LSTM-14, GRU-14.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.trace.aten.context import Context, require, rule

GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


@rule("lstm")
def lstm(c: Context, out: Any, x: Any, state: Any, parameters: Any, *options: Any) -> Any:
    return _layers(c, out, "LSTM", x, state, parameters, *options)


@rule("gru")
def gru(c: Context, out: Any, x: Any, state: Any, parameters: Any, *options: Any) -> Any:
    return _layers(c, out, "GRU", x, [state], parameters, *options, linear_before_reset=1)


def _layers(
    c: Context,
    out: Any,
    op: str,
    x: Any,
    states: Sequence[Any],
    parameters: Sequence[Any],
    biased: bool,
    layers: int,
    dropout: float,
    training: bool,
    both: bool,
    batch_first: bool,
    **attributes: int,
) -> Any:
    """[T, N, I] -> [T, N, directions * H], and the last states [layers * directions, N, H]."""
    require(len(x.shape) == 3 and not (training and dropout))
    require(all(value.const_value is not None for value in parameters))
    weights = [value.const_value.numpy() for value in parameters]
    directions, each = 2 if both else 1, 4 if biased else 2
    require(len(weights) == layers * directions * each)  # projected states have more
    batch, steps = (int(x.shape[0]), int(x.shape[1])) if batch_first else (int(x.shape[1]), int(x.shape[0]))
    value = c.op("Transpose", x, perm=[1, 0, 2]) if batch_first else x
    ends: list[list[Any]] = [[] for _ in states]
    for layer in range(layers):
        stacks = [
            weights[(layer * directions + d) * each : (layer * directions + d + 1) * each] for d in range(directions)
        ]
        hidden = stacks[0][1].shape[1]
        first = [_part(c, state, layer * directions, directions) for state in states]
        operands = _operands(c, op, stacks, hidden)
        direction = "bidirectional" if both else "forward"
        made = c.op(
            op,
            value,
            *operands,
            None,
            *first,
            outputs=1 + len(states),
            hidden_size=hidden,
            direction=direction,
            **attributes,
        )
        for end, state in zip(ends, made[1:], strict=True):
            end.append(state)
        turned = c.op("Transpose", made[0], perm=[0, 2, 1, 3])  # [T, directions, N, H]
        value = c.op("Reshape", turned, c.number("shape", [steps, batch, directions * hidden], "int64"))
    value = c.op("Transpose", value, perm=[1, 0, 2]) if batch_first else value
    return [value, *(end[0] if layers == 1 else c.op("Concat", *end, axis=0) for end in ends)]


def _part(c: Context, state: Any, first: int, count: int) -> Any:
    if int(state.shape[0]) == count:
        return state
    bounds = ("start", first), ("end", first + count), ("axis", 0)
    return c.op("Slice", state, *(c.number(label, [number], "int64") for label, number in bounds))


def _operands(c: Context, op: str, stacks: Sequence[Sequence[Any]], hidden: int) -> list[Any]:
    """W [D, gates * H, I], R [D, gates * H, H], B [D, 2 * gates * H]."""

    def ordered(array: Any) -> Any:
        return array.reshape(-1, hidden, *array.shape[1:])[list(GATES[op])].reshape(array.shape)

    inner, outer = (np.stack([ordered(stack[index]) for stack in stacks]) for index in range(2))
    bias = np.stack(
        [
            np.concatenate([ordered(array) for array in stack[2:]]) if len(stack) > 2 else np.zeros(2 * len(stack[0]))
            for stack in stacks
        ]
    )
    labels = ("weights", inner), ("recurrence", outer), ("bias", bias)
    return [c.number(label, array, "float32") for label, array in labels]
