"""Weights and biases as integers.

Weights: int8, symmetric, one scale per output channel, in [-127, 127]: -128 is not used, so that a product of two
stored numbers never leaves int16 on kernels that add pairs in 16 bits.
Biases: int32 at scale input_scale * weight_scale[c], zero point 0, as every integer kernel assumes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.quant.parameters import MIN_SCALE

LARGEST_STORED = 127
# Half of int32: the accumulator adds the products to the bias.
LARGEST_BIAS = 2.0**30
# Of the output that one step of the input times one of the weight may be worth; XNNPACK's bound is 256.
MOST_STEPS = 255.0


@dataclass(frozen=True, slots=True)
class QuantizedWeight:
    """A weight tensor as it is stored.

    Args:
        stored: i8 of the weight's shape.
        scale: f32[O].
        axis: of the output channels.
    """

    stored: NDArray[np.int8]
    scale: NDArray[np.float32]
    axis: int

    def dequantize(self) -> NDArray[np.float32]:
        return self.stored.astype(np.float32) * along(self.scale, self.axis, self.stored.ndim)


def quantize_weight(
    weight: NDArray[np.float32], axis: int, input_scale: float = 0.0, bias: NDArray[np.float32] | None = None
) -> QuantizedWeight:
    """Quantize per output channel, each weight to its nearest integer; the arguments are those of `weight_scale`."""
    scale = weight_scale(weight, axis, input_scale, bias)
    steps = np.rint(weight / along(scale, axis, weight.ndim))
    return QuantizedWeight(np.clip(steps, -LARGEST_STORED, LARGEST_STORED).astype(np.int8), scale, axis)


def weight_scale(
    weight: NDArray[np.float32], axis: int, input_scale: float = 0.0, bias: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """f32[O]: the scale at which the largest weight of each output channel is stored as 127.

    Args:
        weight: f32 with O output channels on `axis`.
        input_scale: scale of the layer's input, and `bias` f32[O]: a channel whose weights are so small that its bias
            would not fit int32 gets a larger scale. Its weights hardly matter then, its bias does.
    """
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.abs(weight).max(axis=others).astype(np.float64) / LARGEST_STORED
    if bias is not None and input_scale > 0:
        scale = np.maximum(scale, np.abs(bias) / (LARGEST_BIAS * input_scale))
    # A dead channel stores zeros at any scale; one from the other channels keeps the ratios of the kernels sane.
    scale = np.where(scale > 0, scale, max(float(scale.max()), MIN_SCALE))
    return np.maximum(scale, MIN_SCALE**2).astype(np.float32)


def bound_product(weight: QuantizedWeight, input_scale: float, output_scale: float) -> QuantizedWeight:
    """Weights whose smallest product, input_scale * scale[c], is below MOST_STEPS steps of the output.

    XNNPACK refuses a larger one, and with it the whole file. In such a channel any product saturates the output, and
    does so with the smaller scale too. Only weights far from any training have one.
    """
    most = np.float32(MOST_STEPS * output_scale / input_scale)
    if not (weight.scale > most).any():
        return weight
    scale = np.minimum(weight.scale, most)
    steps = np.rint(weight.dequantize() / along(scale, weight.axis, weight.stored.ndim))
    return QuantizedWeight(np.clip(steps, -LARGEST_STORED, LARGEST_STORED).astype(np.int8), scale, weight.axis)


def quantize_bias(bias: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.int32]:
    """i32[O] of a bias f32[O] at the scale f32[O] of its accumulator."""
    stored = np.rint(bias.astype(np.float64) / scale.astype(np.float64))
    return np.clip(stored, -(2**31) + 1, 2**31 - 1).astype(np.int32)


def along(vector: NDArray[np.float32], axis: int, rank: int) -> NDArray[np.float32]:
    """f32[O] shaped to broadcast along one axis of a tensor of that rank."""
    return vector.reshape([-1 if i == axis else 1 for i in range(rank)])
