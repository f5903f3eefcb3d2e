"""Mixed precision: which values are worth keeping in float32, by accuracy gained per microsecond lost.

Rounding an activation costs more than rounding weights, and is avoided only where the operator that writes it and all
that read it are in float. So what is tried is a value with the operators around it (with all values that share its
parameters), not an operator: one in float between integer neighbours still reads and writes integers.

Gained is measured: the whole integer graph with those operators in float, against the whole integer graph. Lost is a
model of the time, so that the choice does not depend on what else the machine was doing:

    lost_us = MACs * (float - int8 time of a MAC) + elements in and out * time of converting one

Rates are those of XNNPACK on one core, MobileNetV2 and MobileNetV3-Small; only their ratio decides.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from edgekit.graph.module_path import module_of
from edgekit.graph.outputs import relative_noise
from edgekit.progress import Step
from edgekit.quant.layers import ConstantLayer, constant_layers
from edgekit.quant.method import Method, keeping
from edgekit.quant.operators import data_inputs
from edgekit.quant.plan import Plan, fused_name, name_of
from edgekit.quant.quantizer import Quantizer
from edgekit.target import Outputs, QuantScheme

Runner = Callable[[ir.Model], Outputs]

# (7.3 ms - 3.4 ms) / 300 M MACs, and a conversion at 4 elements per nanosecond.
US_PER_MAC = 13e-6
US_PER_ELEMENT = 0.25e-3
# A further 1 % of the noise is no gain that a few images can tell from luck.
LEAST_GAIN = 0.01


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What one value costs in integers and would cost in float32.

    Args:
        value: its name; that of the first, where several share their parameters.
        nodes: names of the operators that write or read it.
        operator, module: of the one that writes it.
        gain: share (0..1) of the noise power of the outputs that goes away when it stays in float32.
        lost_us: estimated microseconds that this takes more.
    """

    value: str
    nodes: tuple[str, ...]
    operator: str
    module: str
    gain: float
    lost_us: float

    @property
    def worth(self) -> float:
        """Gain per microsecond."""
        return self.gain / max(self.lost_us, 1e-3)


def nodes_of(chosen: Iterable[Sensitivity]) -> tuple[str, ...]:
    """The operators around several values, each once."""
    return tuple(dict.fromkeys(node for one in chosen for node in one.nodes))


def rank(
    quantizer: Quantizer,
    method: Method,
    scheme: QuantScheme,
    run: Runner,
    reference: Outputs,
    progress: Step | None = None,
) -> list[Sensitivity]:
    """The values whose quantization hurts, most gained per microsecond first.

    Args:
        run: outputs of a QDQ graph on some images; `reference` those of the float graph.
        progress: called with (values tried, values in all).
    """
    cheap = replace(method, bias="none" if method.bias == "none" else "analytic")
    whole = quantizer.quantize(cheap, scheme)
    noise = relative_noise(reference, run(whole.write()))
    around = find_around(whole.model, whole.plan)
    layers = {layer.name: layer for layer in constant_layers(whole.model, whole.plan)}
    found = []
    for index, (value, nodes) in enumerate(around.items()):
        names = tuple(name_of(node) for node in nodes)
        without = quantizer.quantize(keeping(cheap, (*method.keep_float, *names)), scheme)
        gain = 1 - relative_noise(reference, run(without.write())) / noise if noise else 0.0
        module = module_of(nodes[0])
        found.append(Sensitivity(value, names, nodes[0].op_type, module, gain, lost_us(nodes, layers)))
        if progress is not None:
            progress(index + 1, len(around))
    worth = [one for one in found if one.gain > LEAST_GAIN]
    return sorted(worth, key=lambda one: (-one.worth, one.value))


def find_around(model: ir.Model, plan: Plan) -> dict[str, list[ir.Node]]:
    """Group of values -> the quantized operators that write or read one of them, the first writer first.

    Without the graph's inputs, which stay integers.
    """
    fed = {plan.group.get(name_of(value)) for value in model.graph.inputs}
    around: dict[str, list[ir.Node]] = {}
    for node in model.graph:
        if node.name not in plan.rules:
            continue
        names = [fused_name(node, plan), *(name_of(value) for value in data_inputs(node))]
        for group in dict.fromkeys(plan.group[name] for name in names if name in plan.group):
            if group not in fed:
                around.setdefault(group, []).append(node)
    return around


def lost_us(nodes: list[ir.Node], layers: dict[str, ConstantLayer]) -> float:
    """Estimated microseconds that operators take more in float32, conversions at their borders included."""
    inside = {name_of(value) for node in nodes for value in node.outputs}
    read = {name_of(value): size_of(value) for node in nodes for value in data_inputs(node)}
    left = {
        name_of(value): size_of(value)
        for node in nodes
        for value in node.outputs
        if value.is_graph_output() or any(reader not in nodes for reader, _ in value.uses())
    }
    moved = sum(size for name, size in read.items() if name not in inside) + sum(left.values())
    macs = sum(layers[node.name].columns * size_of(node.outputs[0]) for node in nodes if node.name in layers)
    return macs * US_PER_MAC + moved * US_PER_ELEMENT


def size_of(value: ir.Value) -> int:
    """Number of elements; 0 for a constant."""
    if value.const_value is not None or value.shape is None:
        return 0
    return int(np.prod([size for size in value.shape if isinstance(size, int)]))
