"""Products of matrices, and the normalizations that fold into them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

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
    require(out.ndim in (3, 4, 5))
    rank = out.ndim - 2
    window: dict[str, Any] = {
        "pads": ints(padding, rank) * 2,
        "strides": ints(stride, rank),
        "dilations": ints(dilation, rank),
    }
    operands = (x, weight) if bias is None else (x, weight, bias)
    if transposed:
        extra = ints(output_padding, rank)
        # Rows that are added are not cut off: ONNX Runtime takes no output_padding as large as the stride.
        kept = [min(added, cut) for added, cut in zip(extra, window["pads"][rank:], strict=True)]
        window["pads"][rank:] = [cut - back for cut, back in zip(window["pads"][rank:], kept, strict=True)]
        extra = [added - back for added, back in zip(extra, kept, strict=True)]
        return c.op("ConvTranspose", *operands, **window, group=groups, output_padding=extra if any(extra) else None)
    return c.op("Conv", *operands, **window, group=groups)


@rule("linear")
def linear(c: Context, out: Any, x: Any, weight: Any, bias: Any) -> Any:
    require(len(weight.shape) == 2)
    if len(x.shape) == 2 and bias is not None:
        return c.op("Gemm", x, weight, bias, transB=1)
    product = c.op("MatMul", x, c.op("Transpose", weight, perm=[1, 0]))
    return product if bias is None else c.op("Add", product, bias)


@rule("matmul", "mm", "bmm", "mv", "dot")
def matmul(c: Context, out: Any, a: Any, b: Any) -> Any:
    return c.op("MatMul", a, b)


@rule("addmm")
def addmm(c: Context, out: Any, bias: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    return c.op("Gemm", a, b, bias, alpha=float(alpha), beta=float(beta))


@rule("baddbmm")
def baddbmm(c: Context, out: Any, x: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    product = c.op("MatMul", a, b)
    factors = (("alpha", alpha, product), ("beta", beta, x))
    product, x = (v if n == 1 else c.op("Mul", v, c.number(label, n, "float32")) for label, n, v in factors)
    return product if beta == 0 else c.op("Add", x, product)


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
    require(not dropout and not grouped)
    width, rank = int(key.shape[-1]), len(key.shape)
    factor = c.number("scale", width**-0.5 if scale is None else scale, "float32")
    transposed = c.op("Transpose", key, perm=[*range(rank - 2), rank - 1, rank - 2])
    scores = c.op("MatMul", c.op("Mul", query, factor), transposed)
    if causal:
        mask = c.number("mask", np.tri(int(query.shape[-2]), int(key.shape[-2]), dtype=bool), "bool")
    if mask is not None:
        scores = _masked(c, scores, mask)
    return c.op("MatMul", c.op("Softmax", scores, axis=-1), value)


HIDDEN = -1e9
"""What is added to a score that must not count: its exponential is 0, and no sum of such numbers overflows."""


def _masked(c: Context, scores: Any, mask: Any) -> Any:
    """A mask of booleans says which scores count; any other is added to them."""
    if mask.dtype != ir.DataType.BOOL:
        found = constant_of(mask)
        if found is not None and not np.isfinite(found).all():
            mask = c.number("mask", np.maximum(found, HIDDEN), "float32")
        return c.op("Add", scores, mask)
    known = constant_of(mask)
    if known is not None:
        return scores if known.all() else c.op("Add", scores, c.number("hidden", np.where(known, 0, HIDDEN), "float32"))
    return c.op("Where", mask, scores, c.number("hidden", HIDDEN, "float32"))


def constant_of(value: Any) -> Any:
    """A constant's numbers, or None."""
    return None if value.const_value is None else value.const_value.numpy()


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
