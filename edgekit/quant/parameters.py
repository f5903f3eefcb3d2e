"""Scale and zero point, and what they do to numbers.

real = scale * (stored - zero_point). Scales are float32 everywhere: every runtime stores and multiplies them as such,
so a parameter that is not representable in float32 would mean something else in each of them.

Source: Jacob et al. 2018, arXiv:1712.05877, section 2.1; ONNX QuantizeLinear for the rounding (half to even).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ActivationType = Literal["int8", "int16"]

# Below this a scale says nothing about a feature map: XNNPACK and TFLite bound the ratio of input to output scale, and
# a map that is (nearly) constant zero must not push its neighbours out of those bounds.
MIN_SCALE = 2.0**-24


@dataclass(frozen=True, slots=True)
class QParams:
    """How one tensor is stored: real = scale * (stored - zero_point).

    Args:
        scale: a float32 value, above 0.
        zero_point: the stored integer that means 0.0; always 0 for int16.
        dtype: "int8" or "int16".
    """

    scale: float
    zero_point: int
    dtype: ActivationType = "int8"

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest stored integer. int16 is symmetric: -32768 is not used."""
        return (-128, 127) if self.dtype == "int8" else (-32767, 32767)

    @property
    def span(self) -> tuple[float, float]:
        """Smallest and largest real value that can be stored."""
        low, high = self.limits
        return self.scale * (low - self.zero_point), self.scale * (high - self.zero_point)

    def quantize(self, real: NDArray[Any]) -> NDArray[Any]:
        """Store f32[...]: divide, round half to even, saturate."""
        low, high = self.limits
        stored = np.rint(np.asarray(real, np.float32) / np.float32(self.scale)) + self.zero_point
        clipped: NDArray[Any] = np.clip(stored, low, high).astype(self.dtype)
        return clipped

    def dequantize(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """The real values f32[...] of stored integers."""
        return (stored.astype(np.int32) - self.zero_point).astype(np.float32) * np.float32(self.scale)


# The output parameters that TFLite's kernels assume, whatever was observed.
FIXED: dict[tuple[str, ActivationType], QParams] = {
    ("Sigmoid", "int8"): QParams(1 / 256, -128),
    ("Softmax", "int8"): QParams(1 / 256, -128),
    ("Tanh", "int8"): QParams(1 / 128, 0),
    ("Sigmoid", "int16"): QParams(1 / 32768, 0, "int16"),
    ("Softmax", "int16"): QParams(1 / 32768, 0, "int16"),
    ("Tanh", "int16"): QParams(1 / 32768, 0, "int16"),
}


SCALE_OF_NOTHING = 1 / 256
"""Of what was never anything but zero. Beside a scale of 1, additions of usual numbers leave XNNPACK's bounds."""


def choose_int8(low: float, high: float) -> QParams:
    """Asymmetric int8 parameters that cover [low, high], widened to hold 0.

    Zero is exactly representable: padding, ReLU and the absence of a feature cost no error. A range that starts or
    ends at zero is never exceeded, not even by rounding, so a Relu or Clip at that bound is pure saturation.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = round_scale((high - low) / 255)
    if scale == 0.0:
        return QParams(SCALE_OF_NOTHING, 0)
    zero_point = int(np.clip(np.rint(-128 - low / scale), -128, 127))
    return QParams(scale, zero_point)


def choose_int16(low: float, high: float) -> QParams:
    """Symmetric int16 parameters that cover [low, high]."""
    scale = round_scale(max(abs(low), abs(high)) / 32767)
    return QParams(scale or 1.0, 0, "int16")


def choose_constant(value: NDArray[Any], dtype: ActivationType) -> QParams:
    """Parameters of a constant operand: its own range, and exact where it holds a single value."""
    low, high = float(value.min()), float(value.max())
    if dtype == "int16":
        return choose_int16(low, high)
    if low == high != 0.0:
        return QParams(max(float(np.float32(abs(low) / 127)), MIN_SCALE), 0)
    return choose_int8(low, high)


def round_scale(scale: float) -> float:
    """The largest float32 not above `scale`; 0.0 for none, and never below MIN_SCALE otherwise.

    Down, because 255 * scale must not pass the bound of a Clip: a runtime removes the Clip only then.
    """
    if scale == 0.0:
        return 0.0
    rounded = np.float32(scale)
    if float(rounded) > scale:
        rounded = np.nextafter(rounded, np.float32(0))
    return max(float(rounded), MIN_SCALE)
