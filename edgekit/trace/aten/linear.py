"""Products of matrices, and the normalizations that fold into them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.trace.aten.context import Context, ints, require, rule


@rule("convolution", "_convolution")
def convolution(
    c: Context,
    out: Any,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    *backend: bool,
) -> Any:
    require(not transposed and out.ndim in (3, 4))
    rank = out.ndim - 2
    pads, strides, dilations = ints(padding, rank) * 2, ints(stride, rank), ints(dilation, rank)
    operands = (x, weight) if bias is None else (x, weight, bias)
    return c.op("Conv", *operands, pads=pads, strides=strides, dilations=dilations, group=groups)


@rule("linear")
def linear(c: Context, out: Any, x: Any, weight: Any, bias: Any) -> Any:
    require(len(weight.shape) == 2)
    if len(x.shape) == 2 and bias is not None:
        return c.op("Gemm", x, weight, bias, transB=1)
    product = c.op("MatMul", x, c.op("Transpose", weight, perm=[1, 0]))
    return product if bias is None else c.op("Add", product, bias)


@rule("matmul", "mm", "bmm")
def matmul(c: Context, out: Any, a: Any, b: Any) -> Any:
    return c.op("MatMul", a, b)


@rule("addmm")
def addmm(c: Context, out: Any, bias: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    return c.op("Gemm", a, b, bias, alpha=float(alpha), beta=float(beta))


@rule("scaled_dot_product_attention")
def attention(
    c: Context,
    out: Any,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    dropout: float,
    causal: bool,
    scale: float | None,
    grouped: bool = False,
) -> Any:
    require(mask is None and not dropout and not causal and not grouped)
    width, rank = int(key.shape[-1]), len(key.shape)
    factor = c.number("scale", width**-0.5 if scale is None else scale, "float32")
    transposed = c.op("Transpose", key, perm=[*range(rank - 2), rank - 1, rank - 2])
    scores = c.op("MatMul", c.op("Mul", query, factor), transposed)
    return c.op("MatMul", c.op("Softmax", scores, axis=-1), value)


@rule("_scaled_dot_product_flash_attention_for_cpu")
def flash_attention(
    c: Context,
    out: Any,
    query: Any,
    key: Any,
    value: Any,
    dropout: float,
    causal: bool,
    mask: Any,
    scale: float | None,
) -> Any:
    """What torch's own functions (nn.MultiheadAttention) call, where attention is not seen as a whole."""
    return attention(c, out, query, key, value, mask, dropout, causal, scale)


@rule("native_batch_norm")
def batch_norm(
    c: Context,
    out: Any,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    weight, bias = _per_channel(c, out[0].shape[1], weight, bias)
    if training:  # by the batch's own statistics: those of one image, which is what instance normalization is
        require(mean is None and var is None and out[0].shape[0] == 1)
        return c.op("InstanceNormalization", x, weight, bias, epsilon=eps)
    require(mean is not None and var is not None)
    return c.op("BatchNormalization", x, weight, bias, mean, var, epsilon=eps)


@rule("native_group_norm")
def group_norm(
    c: Context,
    out: Any,
    x: Any,
    weight: Any,
    bias: Any,
    images: int,
    channels: int,
    pixels: int,
    groups: int,
    eps: float,
) -> Any:
    weight, bias = _per_channel(c, channels, weight, bias)
    return c.op("GroupNormalization", x, weight, bias, num_groups=groups, epsilon=eps)


def _per_channel(c: Context, channels: int, weight: Any, bias: Any) -> tuple[Any, Any]:
    """PyTorch leaves out what ONNX wants as ones and zeros."""
    weight = c.number("weight", np.ones(channels), "float32") if weight is None else weight
    return weight, c.number("bias", np.zeros(channels), "float32") if bias is None else bias


@rule("native_layer_norm")
def layer_norm(c: Context, out: Any, x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float) -> Any:
    weight = c.number("weight", np.ones(shape), "float32") if weight is None else weight
    operands = (x, weight) if bias is None else (x, weight, bias)
    return c.op("LayerNormalization", *operands, axis=-len(shape), epsilon=eps)
