"""The forms of a HardSwish through which a factor per channel passes, or none.

    x * clip(x + 3, 0, 6)                         is no function that passes a factor, but with x = s x'
    x * clip(x + 3, 0, 6) = s * [x' * clip(s x' + 3, 0, 6)]

addition    x + 3, one number for all channels: no factor passes. XNNPACK computes the whole HardSwish as one table of
            256 entries, since everything in it depends on one int8 tensor and constants.
bands       channels in order of their size, in bands of four; a band has one factor s, so each is such a table. The
            bands are taken apart and put together again.
layer       s x' + 3 as a 1x1 depthwise convolution with a weight per channel: every channel has its own factor.

What each costs stands in edgekit/costs.toml. Where the channels of a value differ by twenty, as behind the first
convolution of a MobileNetV3, bands keep nearly all that a layer keeps, at a fifth of what it adds.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from edgekit.costs import Tune, price
from edgekit.quant.equalize import Ids, equalize, is_layer
from edgekit.quant.observers import Range
from edgekit.quant.operators import constant_of, is_constant
from edgekit.quant.plan import name_of
from edgekit.quant.prices import graph_price, size_of
from edgekit.quant.reorder import reorder_channels
from edgekit.quant.rewrite import add_constant, replace_node

BAND = 4
"""Channels of a band: XNNPACK takes maps apart fast in elements of four bytes."""
MOST_BANDS = 5
"""What one CONCATENATION joins."""

OFF_THE_TIE = 1 + 1 / 127
"""s x within +-b and its gate within 0 and 2 b would have one scale, 2 b / 255, in which b is 127.5 steps: every sum
would lie half way between two integers, and each runtime and each core rounds that in its own way. With this much more
above, no sum does but that of zero, and zero times either neighbour is zero. The gate's own Clip keeps the function."""

Form = Literal["addition", "bands", "layer"]
DEAR = 12.0
"""Percent of what the graph costs: more than a factor through every gate may cost."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How each HardSwish is written.

    Args:
        forms: name of the product of a gate -> its form; a gate that is not in it is an addition.
        dearer: percent that the graph costs more than with additions.
    """

    forms: Mapping[str, Form]
    dearer: float


ADDITIONS = Choice({}, 0.0)


@dataclass(frozen=True, slots=True)
class Gate:
    """The nodes of one HardSwish, x * clip(x + shift, 0, high).

    Args:
        shift: the Add, or the layer in its place.
    """

    shift: ir.Node
    clip: ir.Node
    product: ir.Node

    @property
    def source(self) -> ir.Value:
        value = self.shift.inputs[0]
        assert value is not None
        return value

    @property
    def channels(self) -> int:
        assert self.source.shape is not None
        return int(str(self.source.shape[1]))


def find_gates(model: ir.Model) -> list[Gate]:
    """Every HardSwish over a map, f32[1, C, H, W], in graph order."""
    found = (_gate(node) for node in model.graph if node.op_type == "Add")
    return [gate for gate in found if gate is not None]


def choose_gates(model: ir.Model, ranges: dict[str, Range], tune: Tune | None) -> Iterator[Choice]:
    """The sets of gates that a factor may pass through, cheapest first; an empty one, where there is no HardSwish.

    First those that can be bands (the first gate, where none can): behind the first convolution channels are least
    alike, and what is lost there is lost for all that follows. Then all, unless that costs more than any accuracy is
    worth (DEAR).
    """
    gates = find_gates(model)
    whole = graph_price(model, tune)
    added: dict[str, tuple[Form, float]] = {}
    for gate in gates:
        form = min(passing_forms(gate, ranges), key=lambda form: gate_price(gate, form, tune))
        more = gate_price(gate, form, tune) - gate_price(gate, "addition", tune)
        added[name_of(gate.product)] = form, 100 * more / whole
    first = {name: choice for name, choice in added.items() if choice[0] == "bands"} or dict(list(added.items())[:1])
    yield _choice(first)
    everywhere = _choice(added)
    if len(first) < len(added) and everywhere.dearer <= DEAR:
        yield everywhere


def _choice(added: dict[str, tuple[Form, float]]) -> Choice:
    return Choice({name: form for name, (form, _) in added.items()}, sum(percent for _, percent in added.values()))


def passing_forms(gate: Gate, ranges: dict[str, Range]) -> tuple[Form, ...]:
    """The forms that let a factor pass, as far as this gate's channels allow them."""
    seen = ranges.get(name_of(gate.product.outputs[0]))
    several = gate.channels % BAND == 0 and 1 < gate.channels // BAND <= MOST_BANDS
    return ("bands", "layer") if several and seen is not None and seen.channel_bounds is not None else ("layer",)


def gate_price(gate: Gate, form: Form, tune: Tune | None) -> float:
    elements, pixels = size_of(gate.source)
    return price("hard_swish", form, elements=elements, pixels=pixels, tune=tune)


def pass_factors(model: ir.Model, ranges: dict[str, Range], choice: Choice) -> float:
    """Equalize a float graph in place, through the gates that the choice names.

    Args:
        ranges: what `calibrate` returned for this graph; it has to be calibrated again afterwards.

    Returns:
        The share of the observed channels that changed.
    """
    named = [gate for gate in find_gates(model) if name_of(gate.product) in choice.forms]
    gates = shift_by_layer(model, named)
    bands = {
        name_of(gate.product): bands_of(gate, ranges)
        for gate in gates
        if choice.forms[name_of(gate.product)] == "bands"
    }
    together = {name_of(gate.source): bands[name_of(gate.product)] for gate in gates if name_of(gate.product) in bands}
    changed = equalize(model, ranges, together)
    for gate in gates:
        if name_of(gate.product) in bands:
            shift_by_bands(model, gate, bands[name_of(gate.product)])
        else:
            shift_by_addition(model, [gate])
    return changed


def saturate_below(model: ir.Model) -> None:
    """Cut at -shift what a layer gives to a HardSwish alone, which is 0 from there on down, in place.

    In integers that is the end of the stored range, and costs nothing; the rest of it becomes finer.
    """
    for gate in find_gates(model):
        source, producer = gate.source, gate.source.producer()
        if producer is None or not is_layer(producer) or len(source.uses()) != 2 or source.is_graph_output():
            continue
        shift = gate.shift.inputs[1]
        assert shift is not None
        readers = list(source.uses())
        low = add_constant(model.graph, f"{source.name}.low", np.array(-constant_of(shift).item(), np.float32))
        cut = ir.node("Clip", [source, low], name=f"{source.name}.cut", metadata_props=dict(producer.metadata_props))
        cut.outputs[0].name, cut.outputs[0].shape, cut.outputs[0].type = f"{source.name}.cut", source.shape, source.type
        for reader, index in readers:
            reader.replace_input_with(index, cut.outputs[0])
        model.graph.insert_after(producer, cut)


def _gate(node: ir.Node) -> Gate | None:
    """x + constant in front of a Clip that gates x."""
    if len(node.inputs) != 2 or is_constant(node.inputs[0]) or not is_constant(node.inputs[1]):
        return None
    source, shift = node.inputs
    assert source is not None
    assert shift is not None
    clips = [reader for reader, _ in node.outputs[0].uses() if reader.op_type == "Clip"]
    if len(clips) != 1 or len(node.outputs[0].uses()) != 1 or constant_of(shift).size != 1:
        return None
    gated = [reader for reader, _ in clips[0].outputs[0].uses()]
    shape = source.shape
    mapped = shape is not None and len(shape) == 4 and isinstance(shape[1], int)
    if mapped and len(gated) == 1 and gated[0].op_type == "Mul" and source in gated[0].inputs:
        return Gate(node, clips[0], gated[0])
    return None


def shift_by_layer(model: ir.Model, gates: Collection[Gate]) -> list[Gate]:
    """Make the shift of each a layer with weights of 1, in place; the graph computes what it did."""
    return [Gate(_layer(model.graph, gate.shift), gate.clip, gate.product) for gate in gates]


def shift_by_addition(model: ir.Model, gates: Collection[Gate]) -> None:
    """Undo it for the layers whose weights are still 1: an addition is cheaper."""
    for gate in gates:
        layer = gate.shift
        weight, bias = layer.inputs[1:]
        assert weight is not None
        assert bias is not None
        if not (constant_of(weight) == 1.0).all():
            continue
        shift = add_constant(model.graph, f"{layer.name}.shift", constant_of(bias)[:1].reshape(()))
        replace_node(model.graph, layer, [ir.node("Add", [layer.inputs[0], shift], name=layer.name)])


def _layer(graph: ir.Graph, node: ir.Node) -> ir.Node:
    source, shift = node.inputs
    assert source is not None
    assert source.shape is not None
    assert shift is not None
    channels = source.shape[1]
    assert isinstance(channels, int)
    weight = add_constant(graph, f"{node.name}.weight", np.ones((channels, 1, 1, 1), np.float32))
    bias = add_constant(graph, f"{node.name}.bias", np.full(channels, constant_of(shift).item(), np.float32))
    layer = ir.node("Conv", [source, weight, bias], attributes={"group": channels}, name=node.name)
    replace_node(graph, node, [layer])
    return layer


def bands_of(gate: Gate, ranges: dict[str, Range]) -> list[Ids]:
    """The channels in bands, largest products first."""
    seen = ranges[name_of(gate.product.outputs[0])].channel_bounds
    assert seen is not None
    order = np.argsort(-np.abs(seen).max(axis=0), kind="stable")
    return np.split(order, gate.channels // BAND)


def shift_by_bands(model: ir.Model, gate: Gate, bands: list[Ids]) -> bool:
    """Put a table per band in the place of a gate's layer, whose weights are equal within each; in place.

    Returns:
        False, with nothing changed, where the channels cannot be brought into the order of the bands.
    """
    if not reorder_channels(model, gate.source, np.concatenate(bands)):
        return False
    weight, bias = gate.shift.inputs[1:]
    assert weight is not None
    assert bias is not None
    factors = constant_of(weight).reshape(len(bands), BAND)[:, 0]
    shift = float(constant_of(bias)[0])
    graph, name = model.graph, gate.product.name
    sizes = add_constant(graph, f"{name}.bands", np.full(len(bands), BAND, np.int64))
    split = ir.node("Split", [gate.source, sizes], {"axis": 1}, num_outputs=len(bands), name=f"{name}.split")
    nodes, products = [split], []
    for index, (part, factor) in enumerate(zip(split.outputs, factors, strict=True)):
        part.name = f"{name}.band{index}"
        table = _Table(graph, f"{name}.band{index}")
        nodes += table.gate(part, float(factor), shift)
        products.append(nodes[-1].outputs[0])
    shape = gate.product.outputs[0].shape
    assert shape is not None
    for node in nodes:
        for value in node.outputs:
            value.shape = ir.Shape((shape[0], BAND, *shape[2:]))
            value.type = gate.product.outputs[0].type
    for node in nodes:
        node.metadata_props.update(gate.product.metadata_props)
    graph.insert_before(gate.product, nodes)
    replace_node(graph, gate.product, [ir.node("Concat", products, {"axis": 1}, name=name)])
    graph.remove([gate.clip, gate.shift], safe=True)
    return True


@dataclass(frozen=True, slots=True)
class _Table:
    """Writes x * clip(s x + b, 0, 2 b) for one band."""

    graph: ir.Graph
    name: str

    def gate(self, part: ir.Value, factor: float, shift: float) -> list[ir.Node]:
        """The nodes, the product last. s x counts within +-b only: the first Clip is the saturation of its integers."""
        scaled = self._node("Mul", [part, self._number("factor", factor)], "scaled")
        bounded = self._node(
            "Clip", [scaled.outputs[0], *self._bounds("bound", -shift, OFF_THE_TIE * shift)], "bounded"
        )
        shifted = self._node("Add", [bounded.outputs[0], self._number("shift", shift)], "shifted")
        opened = self._node("Clip", [shifted.outputs[0], *self._bounds("gate", 0.0, 2 * shift)], "gate")
        return [scaled, bounded, shifted, opened, self._node("Mul", [part, opened.outputs[0]], "product")]

    def _node(self, op: str, inputs: list[ir.Value], suffix: str) -> ir.Node:
        node = ir.node(op, inputs, name=f"{self.name}.{suffix}")
        node.outputs[0].name = f"{self.name}.{suffix}"
        return node

    def _number(self, suffix: str, value: float) -> ir.Value:
        return add_constant(self.graph, f"{self.name}.{suffix}", np.array(value, np.float32))

    def _bounds(self, suffix: str, low: float, high: float) -> list[ir.Value]:
        return [self._number(f"{suffix}.low", low), self._number(f"{suffix}.high", high)]
