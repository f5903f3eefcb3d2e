"""MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool."""

import numpy as np
from numpy.typing import NDArray

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.layout import channels_last
from edgekit.targets.tflite.lowerings._window import SAME, VALID, Window, explicit_pad, pad_input, repeat_edges
from edgekit.targets.tflite.lowerings.convolution import sum_windows
from edgekit.targets.tflite.rules import INTEGERS, lowering

NHWC = channels_last(4)


def legal_pool(node: Node) -> str | None:
    if len(node.input(0).shape) != 4:
        return f"{len(node.input(0).shape) - 2}-D pooling has no TFLite kernel"
    if any(dilation != 1 for dilation in node.attrs.get("dilations", ())):
        return "dilated pooling has no TFLite kernel"
    if node.attrs.get("auto_pad", "NOTSET") != "NOTSET":
        return "auto_pad is not resolved to pads"
    return None


def _pool_options(window: Window, padding: int) -> dict[str, int]:
    return {
        "padding": padding,
        "strideH": window.strides[0],
        "strideW": window.strides[1],
        "filterHeight": window.kernel[0],
        "filterWidth": window.kernel[1],
    }


def is_non_negative(em: Emitter, tensor: Tensor) -> bool:
    """Whether zero is the smallest value `tensor` can hold, so that padding with zeros never wins a maximum."""
    saturates = tensor.quant is not None and int(tensor.quant.zero_point[0]) == np.iinfo(tensor.dtype).min
    return saturates or em.is_non_negative(tensor)


@lowering(
    "MaxPool",
    ("MAX_POOL_2D", "PAD", "SLICE", "CONCATENATION"),
    integer=INTEGERS,
    same_quant=True,
    legal=legal_pool,
)
def lower_max_pool(em: Emitter, node: Node) -> None:
    """Padding must never win: SAME ignores it; behind a ReLU a zero PAD is equal; else the edges are repeated."""
    source = node.input(0)
    window = Window.of(node, node.attrs["kernel_shape"])
    if window.is_valid or window.is_same or is_non_negative(em, source):
        source, padding = pad_input(em, source, window)
    else:
        source, padding = repeat_edges(em, source, window), VALID
    em.write(
        "MAX_POOL_2D", [em.input(source, NHWC)], node.output, NHWC, _pool_options(window, padding), clamp=node.clamp
    )


def leaves_out_padding(node: Node) -> str | None:
    if legal_pool(node) is not None:
        return None
    window = Window.of(node, node.attrs["kernel_shape"])
    uneven = _leaves_out_same(node, window) or _correction(node, window) is not None
    return "an average that leaves out padding divides by fewer pixels at the border" if uneven else None


@lowering(
    "AveragePool",
    ("AVERAGE_POOL_2D", "DEPTHWISE_CONV_2D", "PAD", "MUL"),
    integer=INTEGERS,
    same_quant=True,
    stays_float=leaves_out_padding,
    legal=legal_pool,
)
def lower_average_pool(em: Emitter, node: Node) -> None:
    """TFLite divides by the pixels inside the input (SAME); ONNX may count the padding too.

    count_include_pad: PAD, then VALID. Otherwise SAME where the windows are equal; where they are not, PAD, VALID and a
    constant factor kernel / count per border pixel. XNNPACK takes these in float only, where they stay in an int8 graph
    too (its DEQUANTIZE and QUANTIZE are delegated); an int8 pool that counts every pixel is a depthwise convolution.
    """
    window = Window.of(node, node.attrs["kernel_shape"])
    correction = _correction(node, window)
    source, padding = node.input(0), VALID
    if source.dtype == "int8":
        source, padding = pad_input(em, source, window)
        share = 1 / (window.kernel[0] * window.kernel[1])
        options = {"padding": padding, "strideH": window.strides[0], "strideW": window.strides[1]}
        sum_windows(em, source, node.output, window.kernel, share, options, node.clamp)
        return
    if _leaves_out_same(node, window):
        padding = SAME
    elif not window.is_valid:
        source = explicit_pad(em, source, window)
    options = _pool_options(window, padding)
    if correction is None:
        em.write("AVERAGE_POOL_2D", [em.input(source, NHWC)], node.output, NHWC, options, clamp=node.clamp)
        return
    pooled = em.scratch(node.output)
    em.write("AVERAGE_POOL_2D", [em.input(source, NHWC)], pooled, NHWC, options)
    factors = em.parameter(correction, "kernel/count")
    em.write("MUL", [em.input(pooled, NHWC), factors], node.output, NHWC, clamp=node.clamp)


def _leaves_out_same(node: Node, window: Window) -> bool:
    """TFLite's SAME has these windows, and ONNX too divides by the pixels inside the input."""
    return window.is_same and not window.is_valid and not node.attrs.get("count_include_pad", 0)


def _correction(node: Node, window: Window) -> NDArray[np.float32] | None:
    """f32[1, H, W, 1] of kernel size / pixels that ONNX counts, or None where TFLite counts the same."""
    if window.is_valid:
        return None
    include = bool(node.attrs.get("count_include_pad", 0))
    if window.is_same and not include:
        return None
    pads = tuple(node.attrs.get("pads", (0, 0, 0, 0)))
    counts = []
    for axis in range(2):
        # ONNX counts the declared padding at most; a ceil_mode window beyond it is never counted.
        low, high = (-pads[axis], window.size[axis] + pads[2 + axis]) if include else (0, window.size[axis])
        starts = np.arange(node.output.shape[2 + axis]) * window.strides[axis] - pads[axis]
        counts.append(np.minimum(starts + window.kernel[axis], high) - np.maximum(starts, low))
    count = np.outer(counts[0], counts[1]).astype(np.float32)
    total = window.kernel[0] * window.kernel[1]
    if np.all(count == total):
        return None
    return (total / count).reshape(1, *count.shape, 1).astype(np.float32)


@lowering("GlobalAveragePool", ("MEAN",), integer=INTEGERS, legal=legal_pool)
def lower_global_average_pool(em: Emitter, node: Node) -> None:
    """MEAN over H and W: its integer kernel may change scale and zero point, AVERAGE_POOL_2D's may not."""
    axes = em.parameter(np.array([1, 2], np.int32), "axes")
    em.write("MEAN", [em.input(node.input(0), NHWC), axes], node.output, NHWC, {"keepDims": True})


@lowering("GlobalMaxPool", ("MAX_POOL_2D",), integer=INTEGERS, same_quant=True, legal=legal_pool)
def lower_global_max_pool(em: Emitter, node: Node) -> None:
    height, width = node.input(0).shape[2:]
    window = Window((height, width), (1, 1), (1, 1), (height, width), (0, 0), (0, 0))
    em.write("MAX_POOL_2D", [em.input(node.input(0), NHWC)], node.output, NHWC, _pool_options(window, VALID))
