"""From observed ranges to scale and zero point of every value."""

import numpy as np
import onnx_ir as ir

from edgekit.errors import EdgekitError
from edgekit.quant.clipping import Criterion, clip_range
from edgekit.quant.observers import Range
from edgekit.quant.parameters import FIXED, ActivationType, QParams, choose_int8, choose_int16
from edgekit.quant.plan import Plan


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
    return {name: groups[plan.group[name]] for name in plan.values}


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
