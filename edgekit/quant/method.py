"""How a graph is quantized: the choices that cost accuracy or time, and the rungs of the ladder they make."""

from dataclasses import dataclass, replace
from typing import Literal

from edgekit.quant.clipping import Criterion

Bias = Literal["none", "analytic", "empirical"]
Rounding = Literal["nearest", "adaptive"]
Quality = Literal["fast", "balanced", "best"]


@dataclass(frozen=True, slots=True)
class Method:
    """One way to quantize.

    Args:
        criterion: how the range of an int8 activation is chosen; int16 keeps all that was seen.
        equalize: cross-layer equalization and bias absorption where they are measured to help, for int8 activations.
            With int16 ones the weights are the only error, and equalization makes their rows uneven.
        rounding: of weights: each to its nearest integer, or together for the layer's output (adaround.py).
        bias: correction for the mean error of rounded weights, from the float network's means ("analytic") or from the
            stored operands that the layer really gets ("empirical").
        keep_float: names of nodes that stay in float32.
    """

    criterion: Criterion = "mse"
    equalize: bool = False
    rounding: Rounding = "nearest"
    bias: Bias = "analytic"
    keep_float: tuple[str, ...] = ()


RUNGS: dict[str, Method] = {
    "min-max": Method("min-max", bias="none"),
    "mse": Method("mse"),
    "equalized": Method("mse", equalize=True),
    "adaround": Method("mse", equalize=True, rounding="adaptive"),
    "corrected": Method("mse", equalize=True, rounding="adaptive", bias="empirical"),
}
"""From cheap to dear. Behind the last one the ladder keeps more and more operators in float32 (sensitivity.py)."""

QUALITY: dict[Quality, str] = {"fast": "mse", "balanced": "equalized", "best": "corrected"}
"""What `--quality` picks. Balanced is the most accurate rung within 10 CPU seconds for all of a MobileNetV3-Small."""


def keeping(method: Method, nodes: tuple[str, ...]) -> Method:
    """The method with further nodes in float32."""
    return replace(method, keep_float=nodes)
