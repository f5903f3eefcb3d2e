"""Windows over pixels: pools, patches and upsampling."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from edgekit.trace.aten.context import Context, ints, require, rule


@rule("_adaptive_avg_pool2d")
def adaptive_avg_pool2d(c: Context, out: Any, x: Any, size: Any) -> Any:
    require(out.ndim == 4)
    (height, width), (rows, columns) = (int(s) for s in x.shape[-2:]), out.shape[-2:]
    if height % rows or width % columns:
        windows = np.kron(adaptive_windows(height, rows), adaptive_windows(width, columns))
        lines = c.op("Reshape", x, c.number("lines", [*map(int, x.shape[:-2]), height * width], "int64"))
        pooled = c.op("MatMul", lines, c.number("windows", windows, "float32"))
        return c.op("Reshape", pooled, c.number("shape", list(out.shape), "int64"))
    kernel = [height // rows, width // columns]
    return c.op("AveragePool", x, kernel_shape=kernel, strides=kernel)


def adaptive_windows(size: int, out: int) -> Any:
    """f64[size, out]: the share of each pixel in each output. Windows overlap where `out` does not divide `size`."""
    pixel, index = np.arange(size)[:, None], np.arange(out)
    inside = (pixel >= index * size // out) & (pixel < -(-(index + 1) * size // out))
    return inside / inside.sum(0)


def pool_window(kernel: Any, stride: Any, padding: Any, ceil_mode: bool) -> dict[str, Any]:
    """The attributes that both pools share."""
    strides, pads = ints(stride or kernel), ints(padding) * 2
    return {"kernel_shape": ints(kernel), "strides": strides, "pads": pads, "ceil_mode": int(ceil_mode)}


@rule("max_pool2d_with_indices")
def max_pool2d(
    c: Context, out: Any, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Any:
    require(out[0].ndim == 4)
    window = pool_window(kernel, stride, padding, ceil_mode)
    return c.op("MaxPool", x, **window, dilations=ints(dilation))


@rule("avg_pool2d")
def avg_pool2d(
    c: Context, out: Any, x: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, include: bool, divisor: Any
) -> Any:
    require(out.ndim == 4 and divisor is None)
    window = pool_window(kernel, stride, padding, ceil_mode)
    return c.op("AveragePool", x, **window, count_include_pad=int(include))


@rule("im2col")
def unfold(c: Context, out: Any, x: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    """Each place in the window is a filter of its own that picks one pixel: a depthwise convolution, exactly."""
    require(len(x.shape) == 4)
    channels = int(x.shape[1])
    window = patch_window(kernel, dilation, padding, stride)
    picked = c.op(
        "Conv", x, c.number("patches", patch_filters(channels, ints(kernel)), "float32"), **window, group=channels
    )
    return c.op("Reshape", picked, c.number("shape", list(out.shape), "int64"))


@rule("col2im")
def fold(c: Context, out: Any, x: Any, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    """The same filters put each pixel back, and add where windows overlap."""
    require(out.ndim == 4)
    window = patch_window(kernel, dilation, padding, stride)
    reach = [d * (k - 1) + 1 for d, k in zip(window["dilations"], ints(kernel), strict=True)]
    room = [s + 2 * p - r for s, p, r in zip(ints(size), ints(padding), reach, strict=True)]
    rows, columns = (left // step + 1 for left, step in zip(room, window["strides"], strict=True))
    patches = c.op("Reshape", x, c.number("map", [out.shape[0], int(x.shape[1]), rows, columns], "int64"))
    return c.op(
        "ConvTranspose",
        patches,
        c.number("patches", patch_filters(out.shape[1], ints(kernel)), "float32"),
        **window,
        group=out.shape[1],
        output_padding=[left % step for left, step in zip(room, window["strides"], strict=True)],
    )


def patch_window(kernel: Any, dilation: Any, padding: Any, stride: Any) -> dict[str, Any]:
    """The attributes that unfold and fold share."""
    size = {"kernel_shape": ints(kernel), "strides": ints(stride)}
    return {**size, "pads": ints(padding) * 2, "dilations": ints(dilation)}


def patch_filters(channels: int, kernel: Sequence[int]) -> Any:
    """f64[channels * places, 1, rows, columns]: filter i of each channel is 1 at place i and 0 elsewhere."""
    places = math.prod(kernel)
    return np.tile(np.eye(places).reshape(places, 1, *kernel), (channels, 1, 1, 1))


@rule("upsample_nearest2d")
def upsample_nearest2d(c: Context, out: Any, x: Any, size: Any, scale_h: float | None, scale_w: float | None) -> Any:
    before, after = [int(s) for s in x.shape[2:]], list(out.shape[2:])
    taken = [nearest_pixels(*line) for line in zip(before, after, (scale_h, scale_w), strict=True)]
    if all(map(np.array_equal, taken, map(resize_pixels, before, after))):
        sizes = c.number("sizes", list(out.shape), "int64")
        modes: dict[str, Any] = {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        return c.op("Resize", x, None, None, sizes, mode="nearest", **modes)
    for axis, pixels in enumerate(taken, start=2):
        x = c.op("Gather", x, c.number("pixels", pixels, "int64"), axis=axis)
    return x


def nearest_pixels(before: int, after: int, scale: float | None) -> Any:
    """i64[after]: the pixels that torch takes from a line of `before`, asked of torch: its rounding is its own."""
    line = torch.arange(before, dtype=torch.float32).reshape(1, 1, before, 1)
    return torch.ops.aten.upsample_nearest2d(line, [after, 1], scale, None).flatten().long().numpy()


def resize_pixels(before: int, after: int) -> Any:
    """i64[after]: the pixels that ONNX's Resize takes, floor(i / scale) in float32."""
    scale = np.float32(after) / np.float32(before)
    return np.floor(np.arange(after, dtype=np.float32) / scale).astype(np.int64)


@rule("upsample_bilinear2d")
def upsample_bilinear2d(
    c: Context, out: Any, x: Any, size: Any, align_corners: bool, scale_h: float | None, scale_w: float | None
) -> Any:
    require_whole_sizes(out, x, (scale_h, scale_w))
    sizes = c.number("sizes", list(out.shape), "int64")
    coordinates = "align_corners" if align_corners else "half_pixel"
    return c.op("Resize", x, None, None, sizes, mode="linear", coordinate_transformation_mode=coordinates)


def require_whole_sizes(out: Any, x: Any, scales: Sequence[float | None]) -> None:
    """Resize is told the result's sizes. ATen samples at the scale that it was given, which may end between pixels."""
    for scale, before, after in zip(scales, x.shape[2:], out.shape[2:], strict=True):
        require(scale is None or scale * int(before) == after)
