"""Windows over pixels: pools, patches and upsampling."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from edgekit.trace.aten.context import Context, Rule, ints, require, rule
from edgekit.trace.aten.shapes import cut


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
    return c.op("MaxPool", x, **window, dilations=ints(dilation), outputs=2)


@rule("max_unpool2d")
def max_unpool2d(c: Context, out: Any, x: Any, places: Any, size: Any) -> Any:
    """ATen counts the places in each map; ONNX in all of them, which for the maps of one image it makes so itself."""
    pool = places.producer()
    require(out.ndim == 4 and pool is not None and pool.op_type == "MaxPool")
    window: dict[str, Any] = {
        name: list(pool.attributes[name].as_ints()) for name in ("kernel_shape", "strides", "pads")
    }
    return c.op("MaxUnpool", x, places, c.number("size", list(out.shape), "int64"), **window)


@rule("adaptive_max_pool2d")
def adaptive_max_pool2d(c: Context, out: Any, x: Any, size: Any) -> Any:
    """Windows overlap where the size does not divide: each line of them is the extreme of a Slice."""
    require(out[0].ndim == 4)
    before, after = [int(s) for s in x.shape[2:]], list(out[0].shape[2:])
    if not any(old % new for old, new in zip(before, after, strict=True)):
        kernel = [old // new for old, new in zip(before, after, strict=True)]
        return c.op("MaxPool", x, kernel_shape=kernel, strides=kernel)
    for axis, (old, new) in enumerate(zip(before, after, strict=True), 2):
        bounds = [(index * old // new, -(-(index + 1) * old // new)) for index in range(new)]
        lines = [
            c.op("ReduceMax", cut(c, x, axis, *line), c.number("axes", [axis], "int64"), keepdims=1) for line in bounds
        ]
        x = c.op("Concat", *lines, axis=axis)
    return x


@rule("pixel_shuffle")
def pixel_shuffle(c: Context, out: Any, x: Any, factor: int) -> Any:
    require(out.ndim == 4)
    return c.op("DepthToSpace", x, blocksize=int(factor), mode="CRD")


@rule("channel_shuffle")
def channel_shuffle(c: Context, out: Any, x: Any, groups: int) -> Any:
    images, channels, *pixels = map(int, out.shape)
    split = c.op("Reshape", x, c.number("split", [images, groups, channels // groups, *pixels], "int64"))
    turned = c.op("Transpose", split, perm=[0, 2, 1, *range(3, len(pixels) + 3)])
    return c.op("Reshape", turned, c.number("shape", list(out.shape), "int64"))


@rule("pixel_unshuffle")
def pixel_unshuffle(c: Context, out: Any, x: Any, factor: int) -> Any:
    require(out.ndim == 4)
    images, channels, rows, columns = map(int, x.shape)
    f = int(factor)
    split = c.op("Reshape", x, c.number("split", [images, channels, rows // f, f, columns // f, f], "int64"))
    turned = c.op("Transpose", split, perm=[0, 1, 3, 5, 2, 4])
    return c.op("Reshape", turned, c.number("shape", list(out.shape), "int64"))


@rule("affine_grid_generator")
def affine_grid(c: Context, out: Any, theta: Any, size: Any, align_corners: bool) -> Any:
    """Linear in theta: the grids of the three unit columns, times theta."""
    units = torch.zeros(3, 2, 3)
    units[range(3), 0, range(3)] = 1
    sizes = [3, *size[1:]]
    grids = torch.ops.aten.affine_grid_generator(units, sizes, align_corners)[..., 0]
    base = c.number("base", grids.reshape(3, -1).T.numpy(), "float32")
    product = c.op("MatMul", base, c.op("Transpose", theta, perm=[0, 2, 1]))
    return c.op("Reshape", product, c.number("shape", list(out.shape), "int64"))


@rule("grid_sampler", "grid_sampler_2d")
def grid_sampler(c: Context, out: Any, x: Any, grid: Any, mode: int, padding: int, align_corners: bool) -> Any:
    require(out.ndim == 4)
    names: dict[str, Any] = {
        "mode": ("linear", "nearest", "cubic")[mode],
        "padding_mode": ("zeros", "border", "reflection")[padding],
    }
    return c.op("GridSample", x, grid, **names, align_corners=int(align_corners))


@rule("avg_pool2d")
def avg_pool2d(
    c: Context, out: Any, x: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, include: bool, divisor: Any
) -> Any:
    require(out.ndim == 4)
    window = pool_window(kernel, stride, padding, ceil_mode)
    if divisor is None:
        return c.op("AveragePool", x, **window, count_include_pad=int(include))
    sides = zip(x.shape[2:], out.shape[2:], ints(padding), window["kernel_shape"], window["strides"], strict=True)
    over = [max(p, (after - 1) * stride + k - int(before) - p) for before, after, p, k, stride in sides]
    window |= {"pads": [*ints(padding), *over], "ceil_mode": 0}
    mean = c.op("AveragePool", x, **window, count_include_pad=1)
    return c.op("Mul", mean, c.number("pixels", math.prod(window["kernel_shape"]) / divisor, "float32"))


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


@rule("_upsample_nearest_exact2d")
def upsample_nearest_exact2d(c: Context, out: Any, x: Any, size: Any, *scales: Any) -> Any:
    """The pixel whose area the centre of the new one lies in."""
    before, after = [int(s) for s in x.shape[2:]], list(out.shape[2:])
    if all(new % old == 0 for old, new in zip(before, after, strict=True)):
        return upsample_nearest2d(c, out, x, size, None, None)
    for axis, (old, new, scale) in enumerate(zip(before, after, scales, strict=True), 2):
        line = torch.arange(old, dtype=torch.float32).reshape(1, 1, old, 1)
        pixels = torch.ops.aten._upsample_nearest_exact2d(line, [new, 1], scale, None).flatten().long().numpy()
        x = c.op("Gather", x, c.number("pixels", pixels, "int64"), axis=axis)
    return x


@rule("upsample_bilinear2d")
def upsample_bilinear2d(
    c: Context, out: Any, x: Any, size: Any, align_corners: bool, scale_h: float | None, scale_w: float | None
) -> Any:
    before, after = [int(s) for s in x.shape[2:]], list(out.shape[2:])
    given = zip((scale_h, scale_w), before, after, strict=True)
    if not align_corners and any(scale is not None and scale * old != new for scale, old, new in given):
        return _by_matrices(c, out, x, torch.ops.aten.upsample_bilinear2d, align_corners, (scale_h, scale_w))
    sizes = c.number("sizes", list(out.shape), "int64")
    coordinates = "align_corners" if align_corners else "half_pixel"
    return c.op("Resize", x, None, None, sizes, mode="linear", coordinate_transformation_mode=coordinates)


def _resized_by_matrices(name: str) -> Rule:
    call = getattr(torch.ops.aten, name)

    def lower(c: Context, out: Any, x: Any, size: Any, align_corners: bool, *scales: Any) -> Any:
        return _by_matrices(c, out, x, call, align_corners, scales)

    return lower


for _name in ("upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"):
    rule(_name)(_resized_by_matrices(_name))


def _by_matrices(c: Context, out: Any, x: Any, call: Any, align_corners: bool, scales: Sequence[Any]) -> Any:
    """Rows, then columns, each a sum of rows and columns: ATen is asked for the weights of each.

    A matrix from the left for the rows, one from the right for the columns. Maps are asked about, not lines: of a map
    one pixel wide, torch 2.13 gives wrong weights where it filters.
    """
    before, after = [int(s) for s in x.shape[2:]], list(out.shape[2:])
    rows, columns = (
        call(torch.eye(old).reshape(1, old, old, 1).repeat(1, 1, 1, 4), [new, 4], align_corners, scale, None)[
            0, ..., 0
        ].numpy()
        for old, new, scale in zip(before, after, scales, strict=True)
    )
    if before[0] != after[0] or not np.array_equal(rows, np.eye(before[0])):
        x = c.op("MatMul", c.number("rows", rows.T, "float32"), x)
    if before[1] == after[1] and np.array_equal(columns, np.eye(before[1])):
        return x
    return c.op("MatMul", x, c.number("columns", columns, "float32"))
