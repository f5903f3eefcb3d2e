"""Contracts and images that every port of the preprocessing is run on, and the file that hands them over.

The file, big-endian: the number of cases, then for each resize, crop height, crop width, bicubic, bgr, raw,
channels first, place of the dtype in DTYPES, zero point, scale (float32), channels, means, deviations (float32),
width, height and the pixels as ARGB. The answer: for each case the length of its tensor and its bytes.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from edgekit.graph.stored import to_stored
from edgekit.images.preprocess import load_image, takes_raw_pixels
from edgekit.registry import Preprocess
from edgekit.target import TensorInfo

DTYPES = ("float32", "int8", "uint8", "int16")
SIZES = ((640, 479), (333, 500), (97, 61), (50, 401), (33, 33), (1, 7), (64, 64), (1024, 3))
MODES = ("RGB", "RGBA", "L", "LA", "P", "1")
RNG = np.random.default_rng(7)


@dataclass(frozen=True)
class Case:
    """One image under one contract."""

    name: str
    image: Image.Image
    preprocess: Preprocess
    tensor: TensorInfo

    def expected(self) -> bytes:
        """What Python feeds, from the encoded picture on."""
        stream = io.BytesIO()
        self.image.save(stream, "PNG")
        stream.seek(0)
        return to_stored(load_image(stream, self.preprocess)[np.newaxis], self.tensor).tobytes()

    def packed(self) -> bytes:
        feed, tensor = self.preprocess, self.tensor
        flags = (feed.interpolation == "bicubic", feed.channel_order == "BGR", takes_raw_pixels(feed))
        numbers = (feed.resize, *feed.crop, *flags, tensor.layout == "NCHW", DTYPES.index(tensor.dtype))
        channels = len(feed.mean)
        head = struct.pack(">9if i", *map(int, numbers), tensor.zero_point or 0, tensor.scale or 1.0, channels)
        floats = struct.pack(f">{2 * channels}f", *(np.float32(v) for v in (*feed.mean, *feed.std)))
        size = struct.pack(">2i", *self.image.size)
        return head + floats + size + argb(self.image).astype(">u4").tobytes()


def argb(image: Image.Image) -> np.ndarray:
    """u32[height, width] as Bitmap.getPixels gives it, not premultiplied."""
    red, green, blue, alpha = np.moveaxis(np.asarray(image.convert("RGBA"), np.uint32), -1, 0)
    return alpha << 24 | red << 16 | green << 8 | blue


def picture(width: int, height: int, mode: str) -> Image.Image:
    """Noise over a gradient: every level, hard edges, every alpha."""
    ramp = np.linspace(0, 255, width * height * 4).reshape(height, width, 4)
    noisy = np.where(RNG.random((height, width, 4)) < 0.5, ramp, RNG.integers(0, 256, (height, width, 4)))
    return Image.fromarray(noisy.astype(np.uint8)).convert(mode)


def tensor(dtype: str, layout: str, crop: tuple[int, int], channels: int) -> TensorInfo:
    shape = (1, channels, *crop) if layout == "NCHW" else (1, *crop, channels)
    quant = {"float32": (None, None), "int8": (0.018658, -14), "uint8": (0.0207, 114), "int16": (7.1e-5, 0)}[dtype]
    return TensorInfo("input", shape, dtype, layout, *quant)


def contracts() -> Iterator[tuple[str, Preprocess, TensorInfo]]:
    """Every dtype, layout, filter, channel order, grey, folded normalisation, a crop larger than the image."""
    colour, grey, unit = Preprocess(64, (56, 56)), Preprocess(48, (40, 56), mean=(0.45,), std=(0.22,)), (1 / 255,) * 3
    wide = Preprocess(71, (57, 83), "bicubic", (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    raw = Preprocess(96, (80, 80), "bicubic", (0.0,) * 3, unit)
    bgr = Preprocess(64, (64, 64), mean=(0.406, 0.456, 0.485), std=(0.225, 0.224, 0.229), channel_order="BGR")
    padded = Preprocess(31, (48, 45), "bilinear")
    for name, feed in {"colour": colour, "grey": grey, "wide": wide, "raw": raw, "bgr": bgr, "padded": padded}.items():
        for dtype in DTYPES:
            for layout in ("NCHW", "NHWC"):
                yield f"{name} {dtype} {layout}", feed, tensor(dtype, layout, feed.crop, len(feed.mean))


def all_cases() -> list[Case]:
    """Each contract on each size in turn, in changing modes."""
    made = []
    for row, (name, feed, info) in enumerate(contracts()):
        for column, size in enumerate(SIZES):
            mode = MODES[(row + column) % len(MODES)]
            made.append(Case(f"{name}, {mode} {size[0]}x{size[1]}", picture(*size, mode), feed, info))
    return made


def pack(cases: list[Case]) -> bytes:
    return struct.pack(">i", len(cases)) + b"".join(case.packed() for case in cases)


def unpack(data: bytes) -> list[bytes]:
    """The tensors of an answer."""
    tensors, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        tensors.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return tensors
