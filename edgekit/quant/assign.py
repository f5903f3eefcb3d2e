"""From observed ranges to scale and zero point of every value."""

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgekit.errors import EdgekitError
from edgekit.quant.clipping import Criterion, clip_range
from edgekit.quant.observers import Range
from edgekit.quant.operators import data_inputs, is_constant
from edgekit.quant.parameters import FIXED, ActivationType, QParams, choose_int8, choose_int16, round_scale
from edgekit.quant.plan import Plan, fused_name

# Parts of a sum's scale that its operands' scales are made of; odd. 1 / (2 * 1023) of a step is five times the error.
RATIO = 1023
# An operand with fewer is left as it is: rounding would change its range by more than a percent.
LEAST_PARTS = 50


def assign(
    model: ir.Model, plan: Plan, ranges: dict[str, Range], dtype: ActivationType, criterion: Criterion = "mse"
) -> dict[str, QParams]:
    """Parameters of every value of the plan.

    Args:
        ranges: what `calibrate` returned for this graph.
        dtype: int8 is asymmetric over the range that `criterion` finds best, int16 symmetric over all that was seen.

    Returns:
        Value name -> QParams; the members of a group have the same.

    Raises:
        EdgekitError: EK401 when a needed range is missing.
    """
    groups = {}
    for group, sources in plan.sources.items():
        operator = plan.fixed.get(group)
        if operator is not None:
            groups[group] = FIXED[operator, dtype]
        else:
            groups[group] = choose(merge(model, ranges, sources), dtype, criterion)
    if dtype == "int8":
        avoid_ties(model, plan, groups)
    return {name: groups[plan.group[name]] for name in plan.values}


def avoid_ties(model: ir.Model, plan: Plan, groups: dict[str, QParams]) -> None:
    """Give the operands of additions scales that are whole parts of the sum's scale, in place.

        s_in = s_out * k / RATIO, RATIO odd:  (k1 a + k2 b) / RATIO is never n + 1/2, and at least 1 / (2 RATIO) from it

    XNNPACK multiplies by ratios of 21 bits, ONNX Runtime by float32: where a sum lies nearer to a tie than their error
    (1e-4 steps) the runtimes round apart, and a deep network makes that as large as its quantization noise. So they
    cannot. The scale is rounded down: a Clip's bound must not be passed.
    """
    settled: set[str] = set()
    for node in reversed(list(model.graph)):
        if node.op_type not in ("Add", "Sub") or node.name not in plan.rules or any(map(is_constant, node.inputs)):
            continue
        out = groups.get(plan.group.get(fused_name(node, plan), ""))
        for value in data_inputs(node):
            group = plan.group.get(str(value.name))
            if out is None or group is None or group in settled or group in plan.fixed:
                continue
            own = groups[group]
            parts = np.floor(own.scale / out.scale * RATIO)
            if parts >= LEAST_PARTS:
                groups[group] = replace(own, scale=round_scale(float(parts) * out.scale / RATIO))
        settled.update(plan.group.get(str(value.name), "") for value in data_inputs(node))
        settled.add(plan.group.get(fused_name(node, plan), ""))


def choose(observed: Range, dtype: ActivationType, criterion: Criterion = "mse") -> QParams:
    """The parameters of one group."""
    if dtype == "int16":
        return choose_int16(observed.min, observed.max)
    return choose_int8(*clip_range(observed, criterion))


def merge(model: ir.Model, ranges: dict[str, Range], names: tuple[str, ...]) -> Range:
    """The range of all the sources together; a constant among them has its own bounds."""
    merged: Range | None = None
    for name in names:
        initializer = model.graph.initializers.get(name)
        if initializer is not None and initializer.const_value is not None:
            value = initializer.const_value.numpy()
            seen = Range(float(np.min(value)), float(np.max(value)))
        elif name in ranges:
            seen = ranges[name]
        else:
            raise EdgekitError(
                "EK401",
                what=f"no range for the value {name!r}",
                where=name,
                fix="calibrate the graph that is quantized",
            )
        merged = seen if merged is None else merged | seen
    assert merged is not None, "a group has at least one source"
    return merged
