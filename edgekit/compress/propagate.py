"""How each operator hands channels on: one rule per kind of operator, over labels.

A value has a label per element, i64 of the value's rank with size 1 along axes on which labels do not vary. Elements
with labels of one set live and die together; label 0 is frozen. A convolution makes fresh labels, one per filter, and
everything behind it either carries them (an activation), joins them (an addition), moves them (a shuffle) or freezes
them (a mean over channels: without one of them it is another mean).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from edgekit.compress.unions import FROZEN, Labels, Unions, squeezed, varying
from edgekit.graph.module_path import module_of
from edgekit.passes.rewrite import constant, int_attribute, ints_attribute, shape_of

CARRIES = frozenset(
    {"Relu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Gelu", "Clip", "LeakyRelu", "Elu", "Selu", "Celu", "Erf"}
    | {"Exp", "Log", "Abs", "Mish", "Sqrt", "Softplus", "Softsign", "Identity", "Neg", "Reciprocal", "Floor", "Ceil"}
    | {"Round", "Sign", "Dropout", "Cast", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
    | {"InstanceNormalization", "BatchNormalization"}
)
WINDOWS = frozenset(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "InstanceNormalization"])
ELEMENTWISE = frozenset(["Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "PRelu", "Sum", "Mean", "Where"])
REDUCTIONS = frozenset(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare"])


@dataclass(frozen=True, slots=True)
class Producer:
    """A layer that makes channels.

    Args:
        module: path of its PyTorch module, or its node's name.
        weight: name of its weights, and `axis` that of the output channels in it.
        labels: i64[outputs].
    """

    module: str
    node: str
    weight: str
    axis: int
    labels: Labels = field(repr=False)


@dataclass(slots=True)
class Propagation:
    """Labels of every value and constant of a graph, while they grow.

    Args:
        values: name of a value -> its labels.
        constants: name of a constant -> axis -> labels along it.
    """

    sets: Unions = field(default_factory=Unions)
    values: dict[str, Labels] = field(default_factory=dict)
    constants: dict[str, dict[int, Labels]] = field(default_factory=dict)
    producers: list[Producer] = field(default_factory=list)

    def of(self, value: ir.Value | None) -> Labels:
        """The labels of a value; of what is not known they are frozen."""
        frozen = np.full((1,) * len(shape_of(value) or ()), FROZEN, np.int64)
        return frozen if value is None else self.values.get(str(value.name), frozen)

    def bind(self, value: ir.Value, axis: int, labels: Labels) -> None:
        """Say what the slices of a constant along an axis belong to; a constant with two uses joins them."""
        axes = self.constants.setdefault(str(value.name), {})
        if axis in axes:
            self.sets.join(axes[axis], labels)
        else:
            axes[axis] = labels

    def freeze_inputs(self, node: ir.Node) -> None:
        for value in node.inputs:
            if value is not None and constant(value) is None:
                self.sets.freeze(self.of(value))

    def only_along(self, labels: Labels, axis: int) -> Labels:
        """i64[size or 1]: labels along one axis; where they vary along another, all are frozen."""
        if any(other != axis for other in varying(labels)):
            self.sets.freeze(labels)
        return _line(labels, axis)


def propagate(model: ir.Model) -> Propagation:
    """The labels of all values of a graph with static shapes; its inputs and outputs are frozen."""
    found = Propagation()
    for node in model.graph:
        results = _rule(node)(found, node)
        for value, labels in zip(node.outputs, results, strict=False):
            if value.name:
                found.values[str(value.name)] = squeezed(labels)
    for value in model.graph.outputs:
        found.sets.freeze(found.of(value))
    _make_rectangular(found)
    return found


Rule = Callable[[Propagation, ir.Node], Sequence[Labels]]


def _rule(node: ir.Node) -> Rule:
    if node.domain:
        return _freeze
    if node.op_type in CARRIES:
        return _carry
    if node.op_type in ELEMENTWISE:
        return _elementwise
    return _reduce if node.op_type in REDUCTIONS else RULES.get(node.op_type, _freeze)


def _make_rectangular(found: Propagation) -> None:
    """What varies along two axes, [groups, channels], cannot lose one element: a channel goes from all groups."""
    several = [labels for labels in found.values.values() if len(varying(labels)) > 1]
    changed = True
    while changed:
        changed = False
        for labels in several:
            resolved = squeezed(found.sets.resolved(labels))
            if len(axes := varying(resolved)) > 1:
                found.sets.join_along(resolved, axes[0])
                changed = True


def _line(labels: Labels, axis: int) -> Labels:
    return np.moveaxis(labels, axis, 0).reshape(labels.shape[axis], -1)[:, 0]


def _along(labels: Labels, axis: int, rank: int) -> Labels:
    """i64[n] -> the same along one axis of `rank`."""
    return labels.reshape([-1 if index == axis % rank else 1 for index in range(rank)])


def _sized(labels: Labels, size: int) -> Labels:
    """i64[size or 1] -> i64[size]."""
    return np.broadcast_to(labels, (size,))


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    return shape_of(value) or ()


def _whole(found: Propagation, value: ir.Value | None) -> Labels:
    """The labels of every element."""
    return np.broadcast_to(found.of(value), _shape(value))


def _freeze(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    """What is not known, or mixes channels: nothing that goes in or comes out may change."""
    found.freeze_inputs(node)
    return []


def _carry(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    labels = found.of(node.inputs[0])
    if node.op_type in WINDOWS:
        labels = _along(found.only_along(labels, 1), 1, labels.ndim)
    if node.op_type in ("BatchNormalization", "InstanceNormalization"):
        channels = _sized(found.only_along(labels, 1), _shape(node.inputs[0])[1])
        labels = _along(channels, 1, labels.ndim)
        for value in node.inputs[1:]:
            if value is not None and constant(value) is not None:
                found.bind(value, 0, channels)
            else:
                found.sets.freeze(labels)
    return [labels]


def _elementwise(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    """Where two operands have an element each, these belong together; one that is broadcast has no say."""
    rank = len(_shape(node.outputs[0]))
    computed = [value for value in node.inputs if value is not None and constant(value) is None]
    padded = {value: _padded(found.of(value), rank) for value in computed}
    result = next((labels for labels in padded.values() if varying(labels)), next(iter(padded.values())))
    for value, labels in padded.items():
        sizes = (1,) * (rank - len(_shape(value))) + _shape(value)
        others = {axis for other in padded.values() for axis in varying(other)}
        if not varying(labels) and not any(sizes[axis] > 1 for axis in others):
            found.sets.freeze(labels)  # one channel for all of them
            continue
        if labels is not result:
            found.sets.join(result, labels)
            result = np.maximum(*np.broadcast_arrays(result, labels)) if varying(labels) else result
    for operand in node.inputs:
        if operand is not None and constant(operand) is not None:
            _bind_operand(found, operand, result)
    return [result]


def _bind_operand(found: Propagation, value: ir.Value, labels: Labels) -> None:
    """A constant beside labelled elements loses the same slices."""
    shape = _shape(value)
    axes = [axis - (labels.ndim - len(shape)) for axis in varying(labels)]
    touched = [axis for axis in axes if axis >= 0 and shape[axis] > 1]
    if len(axes) == 1 and touched:
        found.bind(value, touched[0], labels.reshape(-1))
    elif touched:
        found.sets.freeze(labels)


def _padded(labels: Labels, rank: int) -> Labels:
    return labels.reshape((1,) * (rank - labels.ndim) + labels.shape)


def _reduce(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    labels, rank = found.of(node.inputs[0]), len(_shape(node.inputs[0]))
    given = constant(node.inputs[1]) if len(node.inputs) > 1 else np.array(ints_attribute(node, "axes"))
    if given is None:
        return _freeze(found, node)
    axes = {int(axis) % rank for axis in given} if given.size else set(range(rank))
    if axes & set(varying(labels)):
        return _freeze(found, node)
    if not int_attribute(node, "keepdims", 1):
        labels = labels.reshape([size for axis, size in enumerate(labels.shape) if axis not in axes])
    return [labels]


def _normalize_last(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    """Softmax, LayerNormalization: what is normalized over must stay whole."""
    labels = found.of(node.inputs[0])
    first = int_attribute(node, "axis", -1) % labels.ndim
    last = labels.ndim if node.op_type == "LayerNormalization" else first + 1
    if any(first <= axis < last for axis in varying(labels)):
        found.sets.freeze(labels)
    return [labels]


def _convolve(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    """Filters are fresh; a depthwise one goes with its channel; groups keep the same places each."""
    source, weight = node.inputs[0], node.inputs[1]
    if weight is None or constant(weight) is None:
        return _freeze(found, node)
    rank, groups = len(_shape(source)), int_attribute(node, "group", 1)
    inputs = _sized(found.only_along(found.of(source), 1), _shape(source)[1])
    outputs = found.sets.fresh(_shape(weight)[0])
    if groups == len(inputs):
        found.sets.join(outputs.reshape(groups, -1), inputs[:, None])
    else:
        by_group = inputs.reshape(groups, -1)
        found.sets.join_along(by_group, 0)
        found.bind(weight, 1, by_group[0])
        found.sets.join_along(outputs.reshape(groups, -1), 0)
        found.producers.append(Producer(module_of(node), str(node.name), str(weight.name), 0, outputs))
    found.bind(weight, 0, outputs)
    _bind_bias(found, node, outputs)
    return [_along(outputs, 1, rank)]


def _convolve_transposed(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    source, weight = node.inputs[0], node.inputs[1]
    if weight is None or constant(weight) is None or int_attribute(node, "group", 1) != 1:
        return _freeze(found, node)
    found.bind(weight, 0, _sized(found.only_along(found.of(source), 1), _shape(source)[1]))
    outputs = found.sets.fresh(_shape(weight)[1])
    found.bind(weight, 1, outputs)
    found.producers.append(Producer(module_of(node), str(node.name), str(weight.name), 1, outputs))
    _bind_bias(found, node, outputs)
    return [_along(outputs, 1, len(_shape(source)))]


def _bind_bias(found: Propagation, node: ir.Node, outputs: Labels) -> None:
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is None:
        return
    if constant(bias) is None or _shape(bias)[-1:] != (len(outputs),):
        found.sets.freeze(outputs)
    else:
        found.bind(bias, len(_shape(bias)) - 1, outputs)


def _gemm(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    weight = node.inputs[1]
    if constant(node.inputs[0]) is not None or constant(weight) is None or int_attribute(node, "transA"):
        return _freeze(found, node)
    return _linear(found, node, int_attribute(node, "transB"))


def _matmul(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    first, second = node.inputs
    if constant(first) is not None:
        return _freeze(found, node)
    if constant(second) is None:
        return _attend(found, node)
    return _linear(found, node, 0) if len(_shape(second)) == 2 else _freeze(found, node)


def _linear(found: Propagation, node: ir.Node, transposed: int) -> Sequence[Labels]:
    """x[..., k] W[k, n], or W[n, k] where it is transposed."""
    source, weight = node.inputs[0], node.inputs[1]
    assert weight is not None
    labels = found.of(source)
    if any(axis != labels.ndim - 1 for axis in varying(labels)):  # the product mixes places, not channels
        if labels.shape[-1] > 1:
            return _freeze(found, node)
        return [labels]
    inner, outer = (1, 0) if transposed else (0, 1)
    found.bind(weight, inner, _sized(_line(labels, labels.ndim - 1), _shape(weight)[inner]))
    outputs = found.sets.fresh(_shape(weight)[outer])
    found.bind(weight, outer, outputs)
    found.producers.append(Producer(module_of(node), str(node.name), str(weight.name), outer, outputs))
    _bind_bias(found, node, outputs)
    return [_along(outputs, labels.ndim - 1, labels.ndim)]


def _attend(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    """A product of two computed values, of scores in attention: what one head is made of belongs together."""
    rank = len(_shape(node.outputs[0]))
    sides = [_padded(found.of(value), rank) for value in node.inputs]
    if rank < 2 or sides[0].shape[-2] > 1:
        return _freeze(found, node)
    for labels in sides:
        for axis in (rank - 2, rank - 1):
            found.sets.join_along(labels, axis)
    heads = [labels[..., :1, :1] for labels in sides]
    labelled = [labels for labels in heads if varying(labels)] or heads
    found.sets.join(heads[0], heads[1])
    return [labelled[0]]


def _transpose(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    labels = found.of(node.inputs[0])
    return [labels.transpose(ints_attribute(node, "perm", range(labels.ndim)[::-1]))]


def _reshape(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    return [_whole(found, node.inputs[0]).reshape(_shape(node.outputs[0]))]


def _expand(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    rank = len(_shape(node.outputs[0]))
    return [_padded(found.of(node.inputs[0]), rank)]


def _concat(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    shape = _shape(node.outputs[0])
    axis = int_attribute(node, "axis") % len(shape)
    pieces = [found.of(value) for value in node.inputs]
    elsewhere = {each for labels in pieces for each in varying(labels)} - {axis}
    if elsewhere and any(constant(value) is not None for value in node.inputs):
        return _freeze(found, node)
    common = [max(labels.shape[each] for labels in pieces) if each in elsewhere else 1 for each in range(len(shape))]
    whole = []
    for value, labels in zip(node.inputs, pieces, strict=True):
        sizes = [_shape(value)[axis] if each == axis else size for each, size in enumerate(common)]
        whole.append(np.broadcast_to(labels, sizes))
    if axis not in {each for labels in pieces for each in varying(labels)} and elsewhere:
        for labels in whole[1:]:  # the same channels at other places
            found.sets.join(whole[0].take([0], axis), labels.take([0], axis))
        return [whole[0].take([0], axis)]
    return [np.concatenate(whole, axis)]


def _split(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    labels = found.of(node.inputs[0])
    axis = int_attribute(node, "axis") % labels.ndim
    if labels.shape[axis] == 1:
        return [labels for _ in node.outputs]
    ends = np.cumsum([_shape(value)[axis] for value in node.outputs])
    return np.split(labels, ends[:-1], axis)


def _slice(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    labels = found.of(node.inputs[0])
    cuts = slices_of(node)
    if cuts is None:
        return _freeze(found, node)
    return [labels[tuple(cut if size > 1 else slice(None) for cut, size in zip(cuts, labels.shape, strict=True))]]


def slices_of(node: ir.Node) -> list[slice] | None:
    """A Slice's bounds per axis of its input; None where they are computed."""
    rank = len(_shape(node.inputs[0]))
    given = [constant(value) for value in node.inputs[1:]]
    if any(array is None for array in given):
        return None
    starts, ends, *rest = [array.reshape(-1).tolist() for array in given if array is not None]
    axes = rest[0] if rest else range(len(starts))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    cuts = [slice(None)] * rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        cuts[axis % rank] = slice(start, None if step < 0 and end < -(2**31) else end, step)
    return cuts


def _gather(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    labels, indices = found.of(node.inputs[0]), constant(node.inputs[1])
    if constant(node.inputs[0]) is not None or indices is None:
        return _freeze(found, node)
    axis = int_attribute(node, "axis") % labels.ndim
    if labels.shape[axis] > 1:
        return [np.take(labels, indices, axis)]
    return [labels.reshape([*labels.shape[:axis], *(1,) * indices.ndim, *labels.shape[axis + 1 :]])]


def _pad(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    """Channels that are padded are fresh: they go where the ones that they are added to go."""
    labels, pads = found.of(node.inputs[0]), pads_of(node)
    if pads is None:
        return _freeze(found, node)
    for axis, (before, after) in enumerate(pads):
        if not (before or after) or labels.shape[axis] == 1:  # along pixels: the border belongs to the channels too
            continue
        if min(before, after) < 0 or len(varying(labels)) > 1 or _mode(node) != "constant":
            return _freeze(found, node)
        inner = _line(labels, axis)
        whole = np.concatenate([found.sets.fresh(before), inner, found.sets.fresh(after)])
        labels = _along(whole, axis, labels.ndim)
    return [labels]


def pads_of(node: ir.Node) -> list[tuple[int, int]] | None:
    """(before, after) per axis; None where they are computed or given for some axes only."""
    pads = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    rank = len(_shape(node.inputs[0]))
    if pads is None or pads.size != 2 * rank:
        return None
    return [(int(pads[axis]), int(pads[axis + rank])) for axis in range(rank)]


def _mode(node: ir.Node) -> str:
    attribute = node.attributes.get("mode")
    return attribute.as_string() if attribute is not None else "constant"


def _resize(found: Propagation, node: ir.Node) -> Sequence[Labels]:
    labels = found.of(node.inputs[0])
    return [_along(found.only_along(labels, 1), 1, labels.ndim)]


RULES: dict[str, Rule] = {
    "Conv": _convolve,
    "ConvTranspose": _convolve_transposed,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Softmax": _normalize_last,
    "LogSoftmax": _normalize_last,
    "LayerNormalization": _normalize_last,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Expand": _expand,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Pad": _pad,
    "Resize": _resize,
}
