"""Scales under which no two runtimes round apart.

XNNPACK multiplies by float32 on x86 and by fixed-point ratios on ARM, additions by ratios of 21 bits, ONNX Runtime by
float32. Where a result lies nearer to n + 1/2 than their error (1e-4 steps in an addition, 1e-5 elsewhere), or on it,
they give neighbouring integers, and a deep network makes that as large as its quantization noise. If the factor by
which integers become the result's integers is k / R with R odd, no result can be nearer to n + 1/2 than 1 / (2 R).
"""

from dataclasses import replace

import onnx_ir as ir

from edgekit.quant.operators import data_inputs, is_constant
from edgekit.quant.parameters import QParams, round_scale
from edgekit.quant.plan import Plan, fused_name

# R of additions: 1 / (2 * 1023) of a step is five times their error.
RATIO = 1023
# An operand with fewer parts is left as it is: rounding would change its range by more than a percent.
LEAST_PARTS = 50
MEANS = frozenset({"GlobalAveragePool", "ReduceMean"})


def avoid_ties(model: ir.Model, plan: Plan, groups: dict[str, QParams]) -> None:
    """Adjust the scales of what additions read and of what products and means write, in place, by a percent at most."""
    settled = settle_additions(model, plan, groups)
    for node in model.graph:
        factor = product_factor(node, plan, groups) if node.op_type == "Mul" else mean_factor(node, plan, groups)
        group = plan.group.get(fused_name(node, plan))
        if factor is None or group is None or group in settled or group in plan.fixed or node.name not in plan.rules:
            continue
        ratio = factor / groups[group].scale
        if node.op_type in MEANS:
            ratio = min(ratio, 1.0)  # a mean of integers is a whole number of factors: no finer scale says more
        groups[group] = replace(groups[group], scale=round_scale(factor / tie_free(ratio)))
        settled.add(group)


def tie_free(factor: float) -> float:
    """The largest k / R not above a factor, R = 2^n - 1 the smallest with LEAST_PARTS <= k."""
    odd = RATIO
    while factor * odd < LEAST_PARTS:
        odd = 2 * odd + 1
    return int(factor * odd) / odd


def product_factor(node: ir.Node, plan: Plan, groups: dict[str, QParams]) -> float | None:
    """Real worth of 1 in a product of two stored activations."""
    scales = [scale_of(value, plan, groups) for value in node.inputs]
    return None if None in scales or len(scales) != 2 else scales[0] * scales[1]  # type: ignore[operator]


def mean_factor(node: ir.Node, plan: Plan, groups: dict[str, QParams]) -> float | None:
    """Real worth of 1 in a sum over the positions of a stored activation, divided by their number."""
    value, result = node.inputs[0] if node.inputs else None, node.outputs[0]
    if node.op_type not in MEANS or value is None or value.shape is None or result.shape is None:
        return None
    scale, sizes = scale_of(value, plan, groups), [elements(shape) for shape in (value.shape, result.shape)]
    shared = plan.group.get(str(value.name)) == plan.group.get(str(result.name))
    return None if scale is None or shared or 0 in sizes else scale * sizes[1] / sizes[0]


def elements(shape: ir.Shape) -> int:
    """How many; 0 where that is not known."""
    count = 1
    for size in shape:
        count *= size if isinstance(size, int) else 0
    return count


def scale_of(value: ir.Value | None, plan: Plan, groups: dict[str, QParams]) -> float | None:
    """Scale of a stored activation; None for a constant and for what is not stored."""
    if value is None or is_constant(value) or value.name not in plan.group:
        return None
    return groups[plan.group[value.name]].scale


def settle_additions(model: ir.Model, plan: Plan, groups: dict[str, QParams]) -> set[str]:
    """Give the operands of additions scales that are whole parts of the sum's scale, in place.

        s_in = s_out * k / RATIO:  (k1 a + k2 b) / RATIO is never n + 1/2, and at least 1 / (2 RATIO) from it

    The scale is rounded down: a Clip's bound must not be passed.

    Returns:
        The groups of all that additions read and write.
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
            parts = int(own.scale / out.scale * RATIO)
            if parts >= LEAST_PARTS:
                groups[group] = replace(own, scale=round_scale(parts * out.scale / RATIO))
        settled.update(plan.group.get(str(value.name), "") for value in data_inputs(node))
        settled.add(plan.group.get(fused_name(node, plan), ""))
    return settled
