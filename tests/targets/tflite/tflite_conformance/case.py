"""What a conformance case is."""

from collections.abc import Callable
from dataclasses import dataclass

from edgekit.targets.tflite.rules import lowerings
from tflite_conformance.net import Net

Build = Callable[[Net], str | tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Case:
    """One tiny graph that proves a rule.

    Args:
        op: the ONNX operator whose rule it is.
        name: which variant.
        build: writes the graph and gives its outputs.
        dtypes: activation dtypes to prove; None: every one the rule claims.
        steps, steps16: largest difference to ONNX Runtime in int8 and in int16; `why` it is more than 1.
        tolerance: largest float error, relative to the largest output.
        rescale: give the outputs of operators that keep their input's scale a scale of their own.
        rejected: part of the reason for which the graph must be refused.
        absent: builtins that the file must not hold.
        in_float: the integer graphs compute it in float, between DEQUANTIZE and QUANTIZE.
    """

    op: str
    name: str
    build: Build
    dtypes: tuple[str, ...] | None = None
    steps: int = 1
    steps16: int = 1
    why: str = ""
    tolerance: float = 1e-5
    rescale: bool = False
    rejected: str = ""
    absent: tuple[str, ...] = ()
    in_float: bool = False

    @property
    def proved(self) -> tuple[str, ...]:
        """The dtypes that this case runs in."""
        if self.dtypes is not None:
            return self.dtypes
        return ("float32", *sorted(lowerings.get(self.op).integer, reverse=True))

    def limit(self, dtype: str) -> float:
        """What the harness allows in that dtype."""
        return {"float32": self.tolerance, "int8": self.steps, "int16": self.steps16}[dtype]

    @property
    def identifier(self) -> str:
        return f"{self.op} {self.name}"
