"""From observed ranges to scale and zero point of every value."""

import numpy as np
import onnx_ir as ir

from edgekit.errors import EdgekitError
from edgekit.quant.clipping import clip_range
from edgekit.quant.observers import Range
from edgekit.quant.operators import activation_bounds, constant_of
from edgekit.quant.parameters import FIXED, ActivationType, QParams, choose_int8, choose_int16
from edgekit.quant.plan import Plan, values_of
from edgekit.quant.ties import avoid_ties
from edgekit.recipe import Criterion

# Of int16 ranges, over what calibration saw: other images go further, and two or three bits of sixteen are to spare.
# A vector (a pooled value, a gate, the logits) has few elements, so its largest on 100 images says less than a map's.
# SQNR with expanded weights on other images, for a factor of 1, 4, 6: MobileNetV2 41.0, 48.2, 44.8 dB;
# MobileNetV3-Small 30.7, 38.1, 39.5; SqueezeNet 1.1, for 1 and 4: 31.9, 53.6. For 6, 8, 9.5, 12 of vectors:
# MobileNetV3-Small on 10,000 images 40.5, 41.4, 41.6, 41.5; EfficientNet-Lite0 53.6, 52.9, 52.4, 51.5.
HEADROOM = 6.0
VECTOR_HEADROOM = 8.0


def assign(
    model: ir.Model, plan: Plan, ranges: dict[str, Range], dtype: ActivationType, criterion: Criterion = "mse"
) -> dict[str, QParams]:
    """Parameters of every value of the plan.

    Args:
        ranges: what `calibrate` returned for this graph.
        dtype: int8 is asymmetric over the range that `criterion` finds best, int16 symmetric, with headroom.

    Returns:
        Value name -> QParams; the members of a group have the same.

    Raises:
        EdgekitError: EK401 when a needed range is missing.
    """
    groups, values = {}, values_of(model)
    for group, names in plan.sources.items():
        operator = plan.fixed.get(group)
        if operator is not None:
            groups[group] = FIXED[operator, dtype]
        else:
            groups[group] = choose([values[name] for name in names], ranges, dtype, criterion)
    if dtype == "int8":
        avoid_ties(model, plan, groups)
    return {name: groups[plan.group[name]] for name in plan.values}


def choose(
    sources: list[ir.Value], ranges: dict[str, Range], dtype: ActivationType, criterion: Criterion = "mse"
) -> QParams:
    """The parameters of one group, from all of its sources."""
    observed = merge(sources, ranges)
    if dtype == "int16":
        return choose_int16(*widen(sources, observed))
    return choose_int8(*clip_range(observed, criterion))


def widen(sources: list[ir.Value], observed: Range) -> tuple[float, float]:
    """The range with headroom, but not beyond what a Clip or a constant can give."""
    lows, highs = zip(*map(bounds_of, sources), strict=True)
    headroom = VECTOR_HEADROOM if all(map(is_vector, sources)) else HEADROOM
    return max(headroom * observed.min, min(lows)), min(headroom * observed.max, max(highs))


def is_vector(value: ir.Value) -> bool:
    """Whether the value has one element per channel: f32[1, C] or f32[1, C, 1, 1]."""
    sizes = [] if value.shape is None else [size for size in value.shape if size != 1]
    return value.shape is not None and len(sizes) <= 1


def bounds_of(value: ir.Value) -> tuple[float, float]:
    """What the value cannot leave, as far as it says so."""
    if value.const_value is not None:
        constant = constant_of(value)
        return float(constant.min()), float(constant.max())
    node = value.producer()
    return (-np.inf, np.inf) if node is None else activation_bounds(node)


def fixed_of(value: ir.Value) -> QParams | None:
    """The parameters of a kernel that fixes its own: the range of what is not observed, where it stays in float."""
    node = value.producer()
    return FIXED.get((node.op_type, "int8")) if node is not None else None


def merge(sources: list[ir.Value], ranges: dict[str, Range]) -> Range:
    """The range of all the sources together; a constant among them has its own bounds."""
    merged: Range | None = None
    for value in sources:
        if value.const_value is not None:
            seen = Range(*bounds_of(value))
        elif value.name in ranges:
            seen = ranges[value.name]
        elif (kernel := fixed_of(value)) is not None:
            seen = Range(*kernel.span)
        else:
            raise EdgekitError(
                "EK401",
                what=f"no range for the value {value.name!r}",
                where=str(value.name),
                fix="calibrate the graph that is quantized",
            )
        merged = seen if merged is None else merged | seen
    assert merged is not None, "a group has at least one source"
    return merged
