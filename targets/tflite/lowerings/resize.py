"""Resize: RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR where they read the same pixels as ONNX does, else GATHER.

XNNPACK takes the bilinear one only. Repeating each pixel a whole number of times, what most detectors do, is a
CONCATENATION of the map with itself: that it takes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.targets.tflite.builtins import Version
from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.layout import channels_last, identity
from edgekit.targets.tflite.lowerings._pieces import MOST_JOINED
from edgekit.targets.tflite.rules import INTEGERS, lowering

NHWC = channels_last(4)
Coordinates = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampling:
    """One of TFLite's three ways to find the input pixel of an output pixel."""

    align_corners: bool
    half_pixel_centers: bool

    def coordinates(self, size: int, out: int) -> Coordinates:
        """f64[out]: where between the input's pixels each output pixel is read."""
        aligned = self.align_corners and out > 1
        scale = (size - 1) / (out - 1) if aligned else size / out
        centre = 0.5 if self.half_pixel_centers else 0.0
        return (np.arange(out, dtype=np.float64) + centre) * scale - centre

    def pixels(self, size: int, out: int) -> NDArray[np.int64]:
        """i64[out]: the pixel that RESIZE_NEAREST_NEIGHBOR copies, which rounds corners and floors everything else."""
        at = self.coordinates(size, out) + (0.5 if self.align_corners or self.half_pixel_centers else 0.0)
        return np.clip(np.floor(at), 0, size - 1).astype(np.int64)

    @property
    def options(self) -> dict[str, bool]:
        return {"alignCorners": self.align_corners, "halfPixelCenters": self.half_pixel_centers}


# Plain first: the other two need a newer runtime.
SAMPLINGS = (Sampling(False, False), Sampling(True, False), Sampling(False, True))
ROUNDING: dict[str, Callable[[Coordinates], Coordinates]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def legal_resize(node: Node) -> str | None:
    shape, out = node.input(0).shape, node.output.shape
    mode = node.attrs.get("mode", "nearest")
    if any(tensor is not None and tensor.data is None for tensor in node.inputs[1:]):
        return "scales and sizes must be constants"
    if len(shape) != 4 or shape[:2] != out[:2]:
        return "only height and width of a 4-D tensor can be resized"
    if mode not in ("nearest", "linear"):
        return f"mode {mode} has no TFLite kernel"
    if node.attrs.get("coordinate_transformation_mode", "half_pixel") not in _COORDINATES:
        return f"{node.attrs['coordinate_transformation_mode']} has no rule"
    if node.attrs.get("antialias", 0) or node.attrs.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        return "antialias and keep_aspect_ratio_policy have no rule"
    if mode == "linear" and _bilinear(node) is None:
        return "TFLite's bilinear kernel reads other coordinates"
    return None


@lowering(
    "Resize",
    ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "GATHER", "CONCATENATION"),
    integer=INTEGERS,
    same_quant=True,
    legal=legal_resize,
)
def lower_resize(em: Emitter, node: Node) -> None:
    """The kernel whose coordinates equal ONNX's; a nearest sampling that none of them has is two GATHERs."""
    if (times := _repeats(node)) is not None:
        _repeat_pixels(em, node, times)
        return
    linear = node.attrs.get("mode", "nearest") == "linear"
    sampling = _bilinear(node) if linear else _nearest(node)
    if sampling is None:
        _gather_pixels(em, node)
        return
    builtin = "RESIZE_BILINEAR" if linear else "RESIZE_NEAREST_NEIGHBOR"
    size = em.parameter(np.array(node.output.shape[2:], np.int32), "size")
    inputs = [em.input(node.input(0), NHWC), size]
    em.write(builtin, inputs, node.output, NHWC, dict(sampling.options), version=_version(builtin, node, sampling))


def _version(builtin: str, node: Node, sampling: Sampling) -> Version | None:
    """Version 3 brought half_pixel_centers, and to the nearest neighbour align_corners too; int16 is later anyway."""
    featured = sampling.half_pixel_centers or (sampling.align_corners and builtin == "RESIZE_NEAREST_NEIGHBOR")
    if node.output.dtype == "int16" or not featured:
        return None
    return (3, "2.2.0") if builtin == "RESIZE_BILINEAR" else (3, "2.3.0")


def _bilinear(node: Node) -> Sampling | None:
    for sampling in SAMPLINGS:
        if all(
            np.allclose(np.clip(wanted, 0, size - 1), np.clip(sampling.coordinates(size, out), 0, size - 1), atol=1e-4)
            for wanted, size, out in _axes(node)
        ):
            return sampling
    return None


def _nearest(node: Node) -> Sampling | None:
    for sampling in SAMPLINGS:
        if all(
            np.array_equal(_rounded(node, wanted, size), sampling.pixels(size, out))
            for wanted, size, out in _axes(node)
        ):
            return sampling
    return None


def _repeats(node: Node) -> tuple[int, int] | None:
    """How often each row and each column is repeated, where the resize does nothing else."""
    if node.attrs.get("mode", "nearest") != "nearest" or node.output.shape == node.input(0).shape:
        return None
    times = []
    for wanted, size, out in _axes(node):
        if out % size or not _factors(out // size):
            return None
        if not np.array_equal(_rounded(node, wanted, size), np.arange(out) // (out // size)):
            return None
        times.append(out // size)
    return times[0], times[1]


def _factors(times: int) -> list[int]:
    """A number as a product of what one CONCATENATION can repeat; empty where it has a larger prime factor."""
    found: list[int] = []
    for factor in range(MOST_JOINED, 1, -1):
        while times % factor == 0:
            found.append(factor)
            times //= factor
    return (found or [1]) if times == 1 else []


def _repeat(em: Emitter, source: Tensor, axis: int, times: int) -> Tensor:
    """`source`, which lies in ONNX order, `times` along an axis."""
    for factor in _factors(times):
        if factor > 1:
            shape = list(source.shape)
            shape[axis] *= factor
            wide = em.scratch(source, tuple(shape))
            em.write("CONCATENATION", [em.input(source)] * factor, wide, identity(len(shape)), {"axis": axis})
            source = wide
    return source


def _repeat_pixels(em: Emitter, node: Node, times: tuple[int, int]) -> None:
    """[N,H,W,C] twice along C is [N,H,2W,C]; that as [N,H,1,2WC], twice along its third axis, is [N,2H,2W,C]."""
    (rows, columns), (n, c, h, w) = times, node.input(0).shape
    source, as_stored = em.moved(node.input(0), NHWC), identity(4)
    if columns > 1:
        pixels = em.scratch(node.output, (n, h, w, c))
        em.reshape(source, pixels, as_stored)
        source = _repeat(em, pixels, 3, columns)
    if rows > 1:
        lines = em.scratch(node.output, (n, h, 1, w * columns * c))
        em.reshape(source, lines, as_stored)
        source = _repeat(em, lines, 2, rows)
    em.reshape(source, node.output, NHWC)
    if em.is_non_negative(node.input(0)):
        em.mark_non_negative(node.output)


def _gather_pixels(em: Emitter, node: Node) -> None:
    source = node.input(0)
    for axis, (wanted, size, out) in zip((2, 3), _axes(node), strict=True):
        shape = (*source.shape[:axis], out, *source.shape[axis + 1 :])
        target = node.output if axis == 3 else em.scratch(node.output, shape)
        indices = em.parameter(_rounded(node, wanted, size).astype(np.int32), "indices")
        em.write("GATHER", [em.input(source, NHWC), indices], target, NHWC, {"axis": NHWC.index(axis)})
        source = target


def _rounded(node: Node, wanted: Coordinates, size: int) -> NDArray[np.int64]:
    rounding = ROUNDING[node.attrs.get("nearest_mode", "round_prefer_floor")]
    pixels: NDArray[np.int64] = np.clip(rounding(wanted), 0, size - 1).astype(np.int64)
    return pixels


_COORDINATES: dict[str, Callable[[Coordinates, float, int, int], Coordinates]] = {
    "half_pixel": lambda x, scale, size, out: (x + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda x, scale, size, out: (x + 0.5) / scale - 0.5 if out > 1 else x * 0.0,
    "align_corners": lambda x, scale, size, out: x * (size - 1) / (out - 1) if out > 1 else x * 0.0,
    "asymmetric": lambda x, scale, size, out: x / scale,
}


def _axes(node: Node) -> list[tuple[Coordinates, int, int]]:
    """(ONNX's coordinates, input size, output size) of height and width."""
    transform = _COORDINATES[node.attrs.get("coordinate_transformation_mode", "half_pixel")]
    found = []
    for axis, scale in zip((2, 3), _scales(node), strict=True):
        size, out = node.input(0).shape[axis], node.output.shape[axis]
        found.append((transform(np.arange(out, dtype=np.float64), scale, size, out), size, out))
    return found


def _scales(node: Node) -> tuple[float, float]:
    """Of height and width; given scales count as they are, even where the output size was rounded down."""
    shape, out = node.input(0).shape, node.output.shape
    given = node.optional(2)
    if given is None or given.data is None or not given.data.size:
        return out[2] / shape[2], out[3] / shape[3]
    axes = [int(axis) % 4 for axis in node.attrs.get("axes", range(4))]
    scales = dict(zip(axes, given.data.reshape(-1), strict=True))
    return float(scales.get(2, 1.0)), float(scales.get(3, 1.0))
