"""Mixed precision: which operators are worth keeping in float32, by accuracy gained per microsecond lost.

Gained is measured: the whole integer graph with that one operator in float, against the whole integer graph. Lost is a
model of the time, so that the choice does not depend on what else the machine was doing:

    lost_us = MACs * (float - int8 time of a MAC) + elements in and out * time of converting one

Rates are those of XNNPACK on one core, MobileNetV2 and MobileNetV3-Small; only their ratio decides.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.quant.layers import constant_layers
from edgekit.quant.method import Method, keeping
from edgekit.quant.operators import ACTIVATIONS, data_inputs
from edgekit.quant.plan import Plan, fused_behind, make_plan, name_of
from edgekit.quant.quantizer import Quantizer
from edgekit.registry import QuantScheme

FloatArray = NDArray[np.float32]
Runner = Callable[[ir.Model], FloatArray]
Progress = Callable[[int, int], None]
MODULE = "edgekit.module"

# (7.3 ms - 3.4 ms) / 300 M MACs, and a conversion at 4 elements per nanosecond.
US_PER_MAC = 13e-6
US_PER_ELEMENT = 0.25e-3
# A further 1 % of the noise is no gain that a few images can tell from luck.
LEAST_GAIN = 0.01


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What one operator costs and would cost.

    Args:
        gain: share (0..1) of the noise power of the outputs that goes away when it stays in float32.
        lost_us: estimated microseconds that this takes more.
    """

    node: str
    operator: str
    module: str
    gain: float
    lost_us: float

    @property
    def worth(self) -> float:
        """Gain per microsecond."""
        return self.gain / max(self.lost_us, 1e-3)


def rank(
    quantizer: Quantizer,
    method: Method,
    scheme: QuantScheme,
    run: Runner,
    reference: FloatArray,
    progress: Progress | None = None,
) -> list[Sensitivity]:
    """The operators whose quantization hurts, most gained per microsecond first.

    Args:
        run: outputs of a QDQ graph on some images, f32[n, k]; `reference` those of the float graph.
        progress: called with (operators tried, operators in all).
    """
    cheap = replace(method, bias="none" if method.bias == "none" else "analytic")
    whole = quantizer.quantize(cheap, scheme)
    noise = error_power(reference, run(whole.write()))
    candidates = [node for node in whole.model.graph if is_candidate(node, whole.plan)]
    found = []
    for index, node in enumerate(candidates):
        without = quantizer.quantize(keeping(cheap, (*method.keep_float, name_of(node))), scheme)
        gain = 1 - error_power(reference, run(without.write())) / noise if noise else 0.0
        module = node.metadata_props.get(MODULE) or name_of(node)
        found.append(Sensitivity(name_of(node), node.op_type, module, gain, lost_us(node, whole.model)))
        if progress is not None:
            progress(index + 1, len(candidates))
    worth = [one for one in found if one.gain > LEAST_GAIN]
    return sorted(worth, key=lambda one: (-one.worth, one.node))


def error_power(reference: FloatArray, actual: FloatArray) -> float:
    return float(np.square(reference - actual, dtype=np.float64).sum())


def is_candidate(node: ir.Node, plan: Plan) -> bool:
    """An operator that computes: activations go with the operator before them, moves cost and gain nothing."""
    rule = plan.rules.get(name_of(node))
    return rule is not None and rule.role in ("linear", "arithmetic", "own") and node.op_type not in ACTIVATIONS


def lost_us(node: ir.Node, model: ir.Model) -> float:
    """Estimated microseconds that an operator takes more in float32, conversions at its borders included."""
    layers = {layer.name: layer for layer in constant_layers(model, make_plan(model))}
    behind = fused_behind(model, (name_of(node),))
    ends = [reader for reader, _ in node.outputs[0].uses() if reader.name in behind] or [node]
    moved = sum(size_of(value) for value in data_inputs(node)) + size_of(ends[0].outputs[0])
    layer = layers.get(name_of(node))
    macs = 0 if layer is None else layer.columns * size_of(node.outputs[0])
    return macs * US_PER_MAC + moved * US_PER_ELEMENT


def size_of(value: ir.Value) -> int:
    """Number of elements; 0 for a constant."""
    if value.const_value is not None or value.shape is None:
        return 0
    return int(np.prod([size for size in value.shape if isinstance(size, int)]))
