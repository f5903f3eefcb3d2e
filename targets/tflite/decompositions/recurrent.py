"""LSTM and GRU of a fixed length, unrolled."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.passes.rewrite import constant, for_each, int_attribute, shape_of, string_attribute
from edgekit.targets.tflite.decompositions._steps import Steps

Array = NDArray[np.float32]
State = tuple[ir.Value, ...]
Cell = Callable[[ir.Value, State | None], State]
DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}


def decompose_recurrent(model: ir.Model) -> bool:
    """Each step of an LSTM or GRU as its products and gates; what depends on the input alone is one Gemm for all steps.

    Shapes: X f32[T, N, I]; W f32[D, gates * H, I]; R f32[D, gates * H, H]; B f32[D, 2 * gates * H].
    Source: ONNX operators LSTM-14 and GRU-14.
    Skips: a length that is not known; other activations, clip, peepholes; computed weights.
    """
    return for_each(model, ("LSTM", "GRU"), _decompose)


def _decompose(node: ir.Node) -> bool:
    shape = shape_of(node.inputs[0])
    given = [*node.inputs, *[None] * (8 - len(node.inputs))]
    weights, recurrence = constant(given[1]), constant(given[2])
    plain = "activations" not in node.attributes or _default_activations(node)
    if shape is None or weights is None or recurrence is None or not plain or int_attribute(node, "layout"):
        return False
    if "clip" in node.attributes or int_attribute(node, "input_forget") or given[7] is not None:
        return False
    lengths = constant(given[4])
    if given[4] is not None and (lengths is None or (lengths != shape[0]).any()):
        return False
    bias = constant(given[3]) if given[3] is not None else np.zeros((len(weights), 2 * weights.shape[1]), np.float32)
    if bias is None:
        return False
    steps, direction = Steps(node), string_attribute(node, "direction", "forward")
    flat = steps.reshape(given[0], shape[0] * shape[1], shape[2])  # type: ignore[arg-type]
    runs = []
    for index in range(len(weights)):
        backwards = direction == "reverse" or index == 1
        first = _first_state(steps, given[5 : 5 + (2 if node.op_type == "LSTM" else 1)], index)
        cell, inputs = _cell(node, steps, flat, weights[index], recurrence[index], bias[index])
        parts = steps.ops("Split", shape[0], inputs, steps.constant([shape[1]] * shape[0], "int64"), axis=0)
        runs.append(_unrolled(parts, cell, first, backwards))
    return steps.replace(*_results(steps, node, runs, (shape[0], shape[1], recurrence.shape[2])))


def _default_activations(node: ir.Node) -> bool:
    names = list(node.attributes["activations"].as_strings())
    return names == DEFAULTS[node.op_type] * (len(names) // len(DEFAULTS[node.op_type]))


def _first_state(steps: Steps, given: Sequence[ir.Value | None], index: int) -> State | None:
    """The states of one direction, f32[N, H] each; None for zeros."""
    arrays = [constant(value) for value in given]
    if all(
        value is None or (array is not None and not array.any()) for value, array in zip(given, arrays, strict=True)
    ):
        return None
    found = []
    for value in given:
        if value is None:
            return None
        shape = shape_of(value)
        assert shape is not None
        found.append(steps.reshape(steps.cut(value, 0, index, index + 1), *shape[1:]))
    return tuple(found)


def _cell(
    node: ir.Node, steps: Steps, flat: ir.Value, weights: Array, recurrence: Array, bias: Array
) -> tuple[Cell, ir.Value]:
    """(what makes a state of an input part and the state before, those parts for all steps, f32[T * N, gates * H])."""
    hidden = recurrence.shape[1]
    own, other = np.split(bias, 2)
    if node.op_type == "GRU" and int_attribute(node, "linear_before_reset"):
        inner = np.concatenate([own[: 2 * hidden] + other[: 2 * hidden], own[2 * hidden :]])
        left = np.concatenate([np.zeros(2 * hidden), other[2 * hidden :]])
    else:
        inner, left = own + other, np.zeros(len(own))
    inputs = steps.op("Gemm", flat, steps.constant(weights), steps.constant(inner), transB=1)
    if node.op_type == "LSTM":
        return _lstm_cell(steps, recurrence, hidden), inputs
    if int_attribute(node, "linear_before_reset"):
        return _gru_cell(steps, recurrence, left, hidden), inputs
    return _classic_gru_cell(steps, recurrence, hidden), inputs


def _product(steps: Steps, state: ir.Value, weights: Array, bias: Array | None = None) -> ir.Value:
    added = steps.constant(np.zeros(len(weights)) if bias is None else bias)
    return steps.op("Gemm", state, steps.constant(weights), added, transB=1)


def _lstm_cell(steps: Steps, recurrence: Array, hidden: int) -> Cell:
    """Gates in ONNX's order: input, output, forget, cell."""

    def cell(part: ir.Value, state: State | None) -> State:
        total = part if state is None else steps.op("Add", part, _product(steps, state[0], recurrence))
        gates = steps.op("Sigmoid", steps.cut(total, 1, 0, 3 * hidden))
        into, out, forget = (steps.cut(gates, 1, index * hidden, (index + 1) * hidden) for index in range(3))
        memory = steps.op("Mul", into, steps.op("Tanh", steps.cut(total, 1, 3 * hidden, 4 * hidden)))
        if state is not None:
            memory = steps.op("Add", steps.op("Mul", forget, state[1]), memory)
        return steps.op("Mul", out, steps.op("Tanh", memory)), memory

    return cell


def _gru_cell(steps: Steps, recurrence: Array, bias: Array, hidden: int) -> Cell:
    """Gates in ONNX's order: update, reset, new; the reset gate acts on the product, as in PyTorch."""

    def cell(part: ir.Value, state: State | None) -> State:
        if state is None:
            state = (steps.constant(np.zeros((_rows(part), hidden))),)
        product = _product(steps, state[0], recurrence, bias)
        both = steps.op("Add", steps.cut(part, 1, 0, 2 * hidden), steps.cut(product, 1, 0, 2 * hidden))
        gates = steps.op("Sigmoid", both)
        update, reset = steps.cut(gates, 1, 0, hidden), steps.cut(gates, 1, hidden, 2 * hidden)
        kept = steps.op("Mul", reset, steps.cut(product, 1, 2 * hidden, 3 * hidden))
        new = steps.op("Tanh", steps.op("Add", steps.cut(part, 1, 2 * hidden, 3 * hidden), kept))
        return (_mixed(steps, new, update, state[0]),)

    return cell


def _classic_gru_cell(steps: Steps, recurrence: Array, hidden: int) -> Cell:
    """The reset gate acts on the state."""

    def cell(part: ir.Value, state: State | None) -> State:
        gates, new = steps.cut(part, 1, 0, 2 * hidden), steps.cut(part, 1, 2 * hidden, 3 * hidden)
        if state is not None:
            gates = steps.op("Add", gates, _product(steps, state[0], recurrence[: 2 * hidden]))
        gates = steps.op("Sigmoid", gates)
        update, reset = steps.cut(gates, 1, 0, hidden), steps.cut(gates, 1, hidden, 2 * hidden)
        if state is None:
            new = steps.op("Tanh", new)
            return (steps.op("Sub", new, steps.op("Mul", update, new)),)
        kept = _product(steps, steps.op("Mul", reset, state[0]), recurrence[2 * hidden :])
        return (_mixed(steps, steps.op("Tanh", steps.op("Add", new, kept)), update, state[0]),)

    return cell


def _mixed(steps: Steps, new: ir.Value, update: ir.Value, state: ir.Value) -> ir.Value:
    """(1 - z) n + z h as n + z (h - n)."""
    return steps.op("Add", new, steps.op("Mul", update, steps.op("Sub", state, new)))


def _rows(part: ir.Value) -> int:
    split = part.producer()
    assert split is not None
    sizes = constant(split.inputs[1])
    assert sizes is not None
    return int(sizes[0])


def _unrolled(parts: Sequence[ir.Value], cell: Cell, first: State | None, backwards: bool) -> list[State]:
    """The state of each step, in the order of time."""
    states: list[State] = []
    state = first
    for part in reversed(parts) if backwards else parts:
        state = cell(part, state)
        states.append(state)
    return states[::-1] if backwards else states


def _results(
    steps: Steps, node: ir.Node, runs: Sequence[Sequence[State]], shape: tuple[int, int, int]
) -> list[ir.Value | None]:
    """Y [T, D, N, H], and the last states [D, N, H]."""
    length, batch, hidden = shape
    backwards = [
        string_attribute(node, "direction", "forward") == "reverse" or index == 1 for index in range(len(runs))
    ]
    lines = [steps.reshape(_joined(steps, [s[0] for s in run], 0), length, 1, batch, hidden) for run in runs]
    results: list[ir.Value | None] = [
        _joined(steps, lines, 1) if node.outputs[0].uses() or node.outputs[0].is_graph_output() else None
    ]
    for index in range(len(node.outputs) - 1):
        ends = [run[0 if back else -1][index] for run, back in zip(runs, backwards, strict=True)]
        results.append(_joined(steps, [steps.reshape(end, 1, batch, hidden) for end in ends], 0))
    return results


def _joined(steps: Steps, values: Sequence[ir.Value], axis: int) -> ir.Value:
    return steps.op("Concat", *values, axis=axis) if len(values) > 1 else values[0]
