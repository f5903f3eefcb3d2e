"""How a graph is quantized: the choices that cost accuracy or time, and the rungs of the ladder they make."""

from dataclasses import dataclass, replace

from edgekit.quant.parameters import ActivationType
from edgekit.recipe import Bias, Criterion, Quality, Rounding


@dataclass(frozen=True, slots=True)
class Method:
    """One way to quantize.

    Args:
        criterion: how the range of an int8 activation is chosen; int16 keeps all that was seen, and more. "relative"
            where it is measured to help, "mse" elsewhere.
        equalize: cross-layer equalization and bias absorption where they are measured to help, for int8 activations.
            With int16 ones the weights are the only error, and equalization makes their rows uneven.
        expand: weights as the sum of two int8 tensors (expand.py): twice the weights and the time.
        rounding: of weights: each to its nearest integer, or together for the layer's output (adaround.py).
        bias: correction for the mean error of rounded weights, from the float network's means ("analytic") or from the
            stored operands that the layer really gets ("empirical").
        keep_float: names of nodes that stay in float32.
    """

    criterion: Criterion = "mse"
    equalize: bool = False
    expand: bool = False
    rounding: Rounding = "nearest"
    bias: Bias = "analytic"
    keep_float: tuple[str, ...] = ()


KNOBS: dict[ActivationType, tuple[str, ...]] = {
    "int8": ("criterion", "equalize", "expand", "rounding", "bias"),
    "int16": ("expand", "rounding", "bias"),
}
"""By activations, the fields of a Method that change something."""

RUNGS: dict[ActivationType, dict[str, Method]] = {
    "int8": {
        "min-max": Method("min-max", bias="none"),
        "mse": Method(),
        "equalized": Method("relative", equalize=True),
        "adaround": Method("relative", equalize=True, rounding="adaptive"),
        "corrected": Method("relative", equalize=True, rounding="adaptive", bias="empirical"),
    },
    "int16": {
        "nearest": Method(bias="none"),
        "analytic": Method(),
        "adaround": Method(rounding="adaptive"),
        "corrected": Method(rounding="adaptive", bias="empirical"),
        "expanded": Method(expand=True),
    },
}
"""By activations, from cheap to dear. Behind the last one the ladder keeps operators in float32 (sensitivity.py)."""

QUALITY: dict[ActivationType, dict[Quality, str]] = {
    "int8": {"fast": "mse", "balanced": "equalized", "best": "corrected"},
    "int16": {"fast": "analytic", "balanced": "expanded", "best": "expanded"},
}
"""What `--quality` picks. Balanced is the most accurate rung within 10 CPU seconds for all of a MobileNetV3-Small."""


def last_rung(dtype: ActivationType) -> Method:
    """The most accurate method that keeps nothing in float32."""
    return list(RUNGS[dtype].values())[-1]


def keeping(method: Method, nodes: tuple[str, ...]) -> Method:
    """The method with these nodes in float32."""
    return replace(method, keep_float=nodes)
