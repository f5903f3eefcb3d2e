"""Conv, in its three TFLite forms: CONV_2D, DEPTHWISE_CONV_2D, grouped CONV_2D."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgekit.targets.tflite.builtins import Version
from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node, Quant, Tensor
from edgekit.targets.tflite.layout import channels_last
from edgekit.targets.tflite.lowerings._window import Window, pad_input
from edgekit.targets.tflite.qdq import quantize_array
from edgekit.targets.tflite.rules import INTEGERS, lowering

NHWC = channels_last(4)

MOST_STEPS = 256.0
TILE = 8
"""Channels that the matrix kernels of AVX2 and of ARM compute together."""


def legal_conv(node: Node) -> str | None:
    weights, bias = node.input(1), node.optional(2)
    if len(weights.shape) != 4:
        return f"{len(weights.shape) - 2}-D convolution has no TFLite kernel"
    if weights.data is None or (bias is not None and bias.data is None):
        return "weights and bias must be constants"
    if node.attrs.get("auto_pad", "NOTSET") != "NOTSET":
        return "auto_pad is not resolved to pads"
    return reject_weights(node, weights)


def reject_weights(node: Node, weights: Tensor) -> str | None:
    """Integer kernels assume zero point 0 in the weights; a product that XNNPACK refuses costs the whole file."""
    if weights.quant is None:
        return None
    if np.any(weights.quant.zero_point):
        return "weights are quantized asymmetrically; TFLite wants zero point 0"
    source, result = node.input(0).quant, node.output.quant
    if source is None or result is None or node.output.dtype != "int8":
        return None
    steps = float(source.scale[0] * weights.quant.scale.max() / result.scale[0])
    return None if steps < MOST_STEPS else f"input * weight scale is {steps:.3g} output scales; XNNPACK takes < 256"


def bias_constant(em: Emitter, bias: Tensor | None, source: Tensor, weights: Tensor, channels: int) -> int:
    """The bias as TFLite wants it: f32[C], or int32 (int64 beside int16) with scale input * weight, axis 0."""
    values = np.zeros(channels, np.float32) if bias is None else bias.numbers().reshape(-1)
    name = bias.name if bias is not None else f"{weights.name}/bias"
    if weights.quant is None or source.quant is None:
        return em.parameter(values.astype(np.float32), name)
    scale = (source.quant.scale[0] * weights.quant.scale).astype(np.float32)
    quant = Quant(scale, np.zeros(scale.shape, np.int64), 0 if scale.size > 1 else None)
    dtype = "int64" if source.dtype == "int16" else "int32"
    stored = _stored_bias(bias, scale, dtype)
    data = quantize_array(values, quant, dtype) if stored is None else stored
    return em.writer.tensor(name, data.shape, dtype, quant, data)


def _stored_bias(bias: Tensor | None, scale: NDArray[np.float32], dtype: str) -> NDArray[np.signedinteger] | None:
    """A bias that is quantized with that scale already keeps its integers."""
    if bias is None or bias.data is None or bias.quant is None or bias.quant.scale.size not in (1, scale.size):
        return None
    if not np.allclose(bias.quant.scale, scale, rtol=1e-6, atol=0) or np.any(bias.quant.zero_point):
        return None
    return bias.data.reshape(-1).astype(dtype)


def stored_weights(
    em: Emitter, weights: Tensor, perm: tuple[int, ...], *, channel: int = 0, dynamic: bool = True
) -> int:
    """The weights permuted, with the output-channel axis of their scales (ONNX's `channel`) following."""
    assert weights.data is not None
    data = np.transpose(weights.data, perm)
    stored = perm.index(channel)
    quant = weights.quant
    if quant is not None:
        quant = Quant(quant.scale, quant.zero_point, None if quant.axis is None else stored)
    return em.weights(weights.name, data, quant, stored, dynamic=dynamic)


@lowering("Conv", ("CONV_2D", "DEPTHWISE_CONV_2D", "PAD"), integer=INTEGERS, legal=legal_conv)
def lower_conv(em: Emitter, node: Node) -> None:
    """Weights OIHW -> OHWI; depthwise -> 1HWO. XNNPACK fuses the explicit PAD, so it costs nothing.

    Dynamic-range: depthwise weights stay float; they are few, and XNNPACK refuses them as int8.

    Groups: XNNPACK takes CONV_2D with groups in one piece, one matrix product after another. Measured against a dense
    convolution with zeros between the groups (where `is_dense_faster`), and against SLICE, a convolution per group and
    CONCATENATION: ai-edge-litert 2.3.0 on x86-64 with AVX2, one thread, CPU us of grouped / dense / split.

        shape                                float                     int8
        60 -> 240, 3 groups, 1x1, 28x28      168 / 363 / 284           288 / 439 / 319     ShuffleNet
        384 -> 96, 8 groups, 1x1, 28x28      279 / 707 / 309           204 / 636 / 246
        1536 -> 384, 8 groups, 1x1, 7x7      136 / 1159 / 121          91 / 662 / 98
        128 -> 128, 32 groups, 3x3, 28x28    648 / 3210 / 975          839 / 2803 / 1211   ResNeXt
        1024 -> 1024, 32 groups, 3x3, 7x7    502 / 30899 / 600         427 / 10713 / 441
        512 -> 128, 4 groups, 3x3, 7x7       205 / 733 / 179           167 / 635 / 177     CondenseNet
        32 -> 8, 4 groups, 3x3, 56x56        344 / 231 / 340           324 / 194 / 420
        32 -> 8, 8 groups, 3x3, 56x56        371 / 218 / 529           623 / 191 / 837
        16 -> 16, 8 groups, 3x3, 28x28       62 / 60 / 116             175 / 65 / 229
        64 -> 16, 4 groups, 3x3, 28x28       180 / 203 / 172           116 / 163 / 156
        64 -> 64, 16 groups, 3x3, 28x28      210 / 685 / 285           323 / 712 / 439
    """
    source, weights = node.input(0), node.input(1)
    window = Window.of(node, kernel=weights.shape[2:])
    channels_out, group = weights.shape[0], int(node.attrs.get("group", 1))
    depthwise = group == source.shape[1] and group > 1
    if group > 1 and not depthwise and is_dense_faster(weights, group):
        weights, group = block_diagonal(weights, group), 1
    source, padding = pad_input(em, source, window)
    dilation = {"dilationHFactor": window.dilations[0], "dilationWFactor": window.dilations[1]}
    options = {"padding": padding, "strideH": window.strides[0], "strideW": window.strides[1], **dilation}
    if depthwise:
        builtin, perm = "DEPTHWISE_CONV_2D", (1, 2, 3, 0)
        options["depthMultiplier"] = channels_out // group
    else:
        builtin, perm = "CONV_2D", (0, 2, 3, 1)
    bias = bias_constant(em, node.optional(2), source, weights, channels_out)
    inputs = [em.input(source, NHWC), stored_weights(em, weights, perm, dynamic=not depthwise), bias]
    version = _version(em, weights, depthwise, group, window)
    em.write(builtin, inputs, node.output, NHWC, options, clamp=node.clamp, version=version)


def is_dense_faster(weights: Tensor, group: int) -> bool:
    """Whether zeros between the groups cost no more than the tiles that groups this narrow leave empty.

    A kernel computes 8 output channels at a time, and in int8 reads 8 input channels at a time.
    """
    outputs, inputs = weights.shape[:2]
    depth = 1 if weights.quant is None else TILE
    grouped = group * _round_up(outputs // group, TILE) * _round_up(inputs, depth)
    return _round_up(outputs, TILE) * _round_up(inputs * group, depth) <= grouped


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def block_diagonal(weights: Tensor, group: int) -> Tensor:
    """Weights [O, I/group, kH, kW] of a grouped convolution as [O, I, kH, kW] of one without groups."""
    assert weights.data is not None
    outputs, inputs, *kernel = weights.shape
    dense = np.zeros((outputs, inputs * group, *kernel), weights.data.dtype)
    each = outputs // group
    for index in range(group):
        block = slice(index * each, (index + 1) * each)
        dense[block, index * inputs : (index + 1) * inputs] = weights.data[block]
    return replace(weights, shape=dense.shape, data=dense)


def _version(em: Emitter, weights: Tensor, depthwise: bool, group: int, window: Window) -> Version | None:
    """Features with a version of their own; None takes the dtype's."""
    assert weights.data is not None
    if weights.quant is None and not depthwise and em.is_dynamic(weights.data):
        return (5, "2.4.0")
    if not depthwise and group > 1:
        return (6, "2.9.0")
    if depthwise and weights.quant is None and window.dilations != (1, 1):
        return (2, "1.12.0")
    return None


def sum_windows(
    em: Emitter,
    source: Tensor,
    output: Tensor,
    kernel: tuple[int, int],
    factor: float,
    options: dict[str, int],
    clamp: tuple[float, float] | None = None,
) -> None:
    """Per channel, the sum over a window times `factor`: DEPTHWISE_CONV_2D with equal weights, which XNNPACK takes.

    Exact on integers: every stored weight is 1, its scale is the factor.
    """
    channels = source.shape[1]
    shape = (channels, 1, *kernel)
    weights = Tensor(f"{output.name}/window", shape, "float32", data=np.full(shape, factor, np.float32))
    if source.quant is not None:
        weights.data, weights.dtype = np.ones(shape, np.int8), "int8"
        weights.quant = Quant(np.full(channels, factor, np.float32), np.zeros(channels, np.int64), 0)
    bias = bias_constant(em, None, source, weights, channels)
    inputs = [em.input(source, NHWC), stored_weights(em, weights, (1, 2, 3, 0), dynamic=False), bias]
    options = {**options, "dilationHFactor": 1, "dilationWFactor": 1, "depthMultiplier": 1}
    em.write("DEPTHWISE_CONV_2D", inputs, output, NHWC, options, clamp=clamp)
