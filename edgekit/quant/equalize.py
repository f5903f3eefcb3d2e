"""Cross-layer equalization: channels of very different size are brought to one size before they share a scale.

A ReLU passes a positive factor, relu(s x) = s relu(x), so a channel can be made larger where it is written and smaller
where it is read without changing what the network computes:

    W1' = diag(1/s) W1     b1' = b1 / s     W2' = W2 diag(s)          for every channel, s > 0

Weights have a scale per output channel, so the writer's rows cost nothing; the integers of the activation gain what the
channel had been too small for. A channel is followed through whatever passes such a factor (pooling, padding, Concat,
residual additions, gates) to all its writers and readers; where one of them does not pass it, s = 1.

A Clip at u passes it for s <= 1 as long as nothing that was observed reaches the new clip: the channel is enlarged
until its largest value is u, and saturates there as it would at the end of its stored range.

Source: Nagel et al. 2019, arXiv:1906.04721, section 4.1. Their factor balances the ranges of two weight matrices stored
with one scale each. With scales per output channel the activations decide, so ours balances those (Xiao et al. 2022,
SmoothQuant, arXiv:2211.10438, section 4: the same trade between activations and weights, s = max|x|^a / max|w|^(1-a)).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.quant.observers import Range
from edgekit.quant.operators import is_constant
from edgekit.quant.plan import name_of

Doubles = NDArray[np.float64]
Ids = NDArray[np.int64]

FIXED = 0
"""The class of channels that must keep their size."""

PASSES = frozenset({"Relu", "LeakyRelu", "MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool"})
"""One operand, each channel on its own, f(s x) = s f(x) for s > 0."""

GATES = frozenset({"Clip", "Sigmoid", "HardSigmoid"})
"""What a product multiplies by, without a factor: the result has that of the other operand."""


# How far a channel is brought to the size of the largest: s = size^strength. In full it loses accuracy again, because
# what was not observed saturates. Where a dense layer reads the channel, its column of weights is stored with the scale
# of the row: more than a third costs the weights what the activation gains. MobileNetV2, 100 calibration images, SQNR
# on 900 others with (FREE, SHARED): none 19.0 dB; (1/2, 0) 20.3; (3/4, 0) 20.5; (3/4, 1/4) 20.8; (3/4, 3/4) 18.5.
FREE, SHARED = 0.75, 0.3


def equalize(model: ir.Model, ranges: dict[str, Range], together: Mapping[str, Sequence[Ids]] | None = None) -> float:
    """Equalize a float graph in place.

    Args:
        ranges: what `calibrate` returned for this graph; it has to be calibrated again afterwards.
        together: value -> groups of its channels that must have one factor.

    Returns:
        The share of the observed channels that changed.
    """
    channels = follow_channels(model)
    for name, groups in (together or {}).items():
        for group in groups:
            channels.join(np.full(len(group), channels.ids[name][group[0]]), channels.ids[name][group])
    factors = choose_factors(model, channels, ranges)
    seen = [channels.roots(name) for name in ranges if name in channels.ids]
    apply_factors(model, channels, factors)
    return float(np.mean(factors[np.concatenate(seen)] != 1.0)) if seen else 0.0


@dataclass(slots=True)
class Channels:
    """Which channels of which values must have one factor: union-find over channel numbers."""

    parent: list[int] = field(default_factory=lambda: [FIXED])
    ids: dict[str, Ids] = field(default_factory=dict)

    def new(self, count: int) -> Ids:
        first = len(self.parent)
        self.parent += range(first, first + count)
        return np.arange(first, first + count)

    def find(self, number: int) -> int:
        while self.parent[number] != number:
            self.parent[number] = self.parent[self.parent[number]]
            number = self.parent[number]
        return number

    def join(self, first: Ids, second: Ids) -> None:
        """FIXED is the smallest number and wins."""
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            low, high = sorted((self.find(a), self.find(b)))
            self.parent[high] = low

    def fix(self, name: str) -> None:
        if name in self.ids:
            self.join(np.zeros_like(self.ids[name]), self.ids[name])

    def roots(self, name: str) -> Ids:
        return np.array([self.find(number) for number in self.ids[name].tolist()], np.int64)


def follow_channels(model: ir.Model) -> Channels:
    """Give every channel of every value its class."""
    channels = Channels()
    for value in model.graph.inputs:
        channels.ids[name_of(value)] = channels.new(_width(value))
        channels.fix(name_of(value))
    for node in model.graph:
        for value in node.outputs:
            channels.ids[name_of(value)] = _outgoing(node, value, channels)
    for value in model.graph.outputs:
        channels.fix(name_of(value))
    return channels


def _width(value: ir.Value) -> int:
    """Number of channels: the second axis."""
    width = value.shape[1] if value.shape is not None and len(value.shape) > 1 else 1
    return width if isinstance(width, int) else 1


def _outgoing(node: ir.Node, value: ir.Value, channels: Channels) -> Ids:
    """The channel numbers of a node's result; operands that cannot have a factor are fixed on the way."""
    operands = [name_of(v) for v in node.inputs if v is not None and name_of(v) in channels.ids]
    width = _width(value)
    if is_layer(node):
        return channels.new(width)
    if node.op_type in PASSES or (node.op_type == "Clip" and clip_bound(node) is not None) or _pads_with_zero(node):
        return channels.ids[operands[0]]
    if node.op_type == "Add" and len(operands) == 2 and all(len(channels.ids[o]) == width for o in operands):
        channels.join(channels.ids[operands[0]], channels.ids[operands[1]])
        return channels.ids[operands[0]]
    gate = gate_of(node)
    if gate is not None:
        channels.fix(operands[gate])
        return channels.ids[operands[1 - gate]]
    if node.op_type == "Concat" and node.attributes.get_int("axis", 0) == 1 and len(operands) == len(node.inputs):
        return np.concatenate([channels.ids[o] for o in operands])
    if node.op_type in ("Flatten", "Reshape") and _flattens(node, value):
        return np.repeat(channels.ids[operands[0]], width // len(channels.ids[operands[0]]))
    if node.op_type == "ReduceMean" and _averages_positions(node):
        return channels.ids[operands[0]]
    for name in operands:
        channels.fix(name)
    return np.zeros(width, np.int64)


def _flattens(node: ir.Node, value: ir.Value) -> bool:
    """f32[1, C, ...] -> f32[1, C * positions], channel by channel."""
    source = node.inputs[0].shape if node.inputs[0] is not None else None
    if source is None or value.shape is None or len(source) < 2 or len(value.shape) != 2:
        return False
    return source[0] == value.shape[0] == 1


def _averages_positions(node: ir.Node) -> bool:
    axes = node.inputs[1].const_value if len(node.inputs) > 1 and node.inputs[1] is not None else None
    rank = len(node.inputs[0].shape or ()) if node.inputs[0] is not None else 0
    return axes is not None and rank == 4 and {int(a) % rank for a in axes.numpy().reshape(-1)} <= {2, 3}


def is_layer(node: ir.Node) -> bool:
    """A Conv or a fully connected Gemm whose weights are its own."""
    if node.op_type not in ("Conv", "Gemm") or is_constant(node.inputs[0]):
        return False
    constants = [value for value in node.inputs[1:] if value is not None]
    own = all(is_constant(value) and len(value.uses()) == 1 for value in constants)
    return own and (node.op_type == "Conv" or bool(node.attributes.get_int("transB", 0)))


def clip_bound(node: ir.Node) -> float | None:
    """u of a Clip(0, u); None for any other node."""
    if node.op_type != "Clip" or len(node.inputs) != 3:
        return None
    low, high = (None if v is None or v.const_value is None else float(v.const_value.numpy()) for v in node.inputs[1:])
    return high if low == 0.0 and high is not None and high > 0 else None


def gate_of(node: ir.Node) -> int | None:
    """Index of the operand of a product that is a gate for each channel of the other one; None for any other node."""
    if node.op_type != "Mul" or any(map(is_constant, node.inputs)):
        return None
    gates = [index for index in (0, 1) if (of := _producer(node, index)) is not None and of.op_type in GATES]
    widths = {_width(value) for value in node.inputs if value is not None}
    return gates[-1] if gates and len(widths) == 1 else None


def _producer(node: ir.Node, index: int) -> ir.Node | None:
    value = node.inputs[index]
    return None if value is None else value.producer()


def _pads_with_zero(node: ir.Node) -> bool:
    """Whether a node pads pixels, and not channels, with zeros."""
    value = node.inputs[2] if node.op_type == "Pad" and len(node.inputs) > 2 else None
    zero = value is None or (value.const_value is not None and not np.any(value.const_value.numpy()))
    if node.op_type != "Pad" or node.attributes.get_string("mode", "constant") != "constant" or node.inputs[0] is None:
        return False
    return zero and _width(node.inputs[0]) == _width(node.outputs[0])


def choose_factors(model: ir.Model, channels: Channels, ranges: dict[str, Range]) -> Doubles:
    """The factor s of every class, f64[classes]: a power of its largest observed magnitude.

    A channel under a Clip counts as a share of the bound and is never made larger than that.
    """
    count = len(channels.parent)
    size, least, clipped = np.zeros(count), np.zeros(count), np.zeros(count, bool)
    for node in model.graph:
        for value in node.outputs:
            seen = ranges.get(name_of(value))
            if seen is None or seen.channel_bounds is None:
                continue
            roots, largest = channels.roots(name_of(value)), np.abs(seen.channel_bounds).max(axis=0)
            np.maximum.at(size, roots, largest)
            bound = clip_bound(node)
            if bound is not None:
                np.maximum.at(least, roots, largest / bound)
                clipped[roots] = True
    strength = np.where(shared_columns(model, channels), SHARED, FREE)
    share = np.where(clipped, least, size)
    factors = np.where(share > 0, share, 1.0) ** strength
    factors = np.where(clipped, np.clip(factors, least, 1.0), factors)
    factors[FIXED] = 1.0
    return np.where(share > 0, factors, 1.0)


def shared_columns(model: ir.Model, channels: Channels) -> NDArray[np.bool_]:
    """Classes that a layer reads beside other channels, bool[classes]: there the factor unbalances a row of weights."""
    shared = np.zeros(len(channels.parent), bool)
    for node in model.graph:
        if is_layer(node) and not is_depthwise(node):
            shared[channels.roots(_operand(node))] = True
    return shared


def is_depthwise(node: ir.Node) -> bool:
    """Whether each output channel of a layer reads one input channel."""
    weight = node.inputs[1]
    return node.op_type == "Conv" and weight is not None and weight.shape is not None and weight.shape[1] == 1


def _operand(node: ir.Node) -> str:
    assert node.inputs[0] is not None
    return name_of(node.inputs[0])


def apply_factors(model: ir.Model, channels: Channels, factors: Doubles) -> None:
    """Divide every layer's rows by the factors of its result and multiply its columns by those of its operand."""
    for node in model.graph:
        if not is_layer(node):
            continue
        into = factors[channels.roots(_operand(node))]
        out = factors[channels.roots(name_of(node.outputs[0]))]
        weight, bias = node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else None
        assert weight is not None
        assert weight.const_value is not None
        values = weight.const_value.numpy().astype(np.float64)
        groups = node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1
        columns = np.repeat(into.reshape(groups, 1, -1), values.shape[0] // groups, axis=1)
        columns = columns.reshape(values.shape[0], values.shape[1], *[1] * (values.ndim - 2))
        rows = out.reshape(-1, *[1] * (values.ndim - 1))
        weight.const_value = ir.Tensor((values * columns / rows).astype(np.float32), name=weight.name)
        if bias is not None and bias.const_value is not None:
            bias.const_value = ir.Tensor((bias.const_value.numpy() / out).astype(np.float32), name=bias.name)
