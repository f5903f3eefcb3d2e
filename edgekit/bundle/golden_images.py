"""Golden images: PNG in, stored tensor and scores out, the proof of an app's own preprocessing.

Resampling moves accuracy by tenths of a point, and an app has no Pillow. These few images and the tensors that they
must give are in every bundle; the generated Kotlin, Java and C++ (edgekit/android/) equal them bit for bit.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from edgekit.artifact import GoldenImage
from edgekit.errors import EdgekitError, Table
from edgekit.graph.outputs import take
from edgekit.graph.stored import to_stored
from edgekit.images.preprocess import load_image
from edgekit.registry import Preprocess
from edgekit.target import Runner, TensorInfo

Pixels = NDArray[np.uint8]
ORIENTATION = 0x0112  # the EXIF tag
QUARTER_TURN = 6
MODES = ("L", "RGB", "RGBA")
MOST_PIXELS = 1 << 26


def make_golden_images(preprocess: Preprocess, stored_as: TensorInfo, run: Runner) -> tuple[GoldenImage, ...]:
    """The four images for one model file, with the tensor that each becomes and what the file makes of it.

    They are drawn, not photographed: a bundle must not publish anybody's pictures, and the same bytes must come out on
    every machine. Empty where the file takes no image, or one of more planes than an app's camera gives.
    """
    if stored_as.layout not in ("NCHW", "NHWC") or len(preprocess.mean) not in (1, 3):
        return ()
    made = []
    for name, draw in DRAWINGS.items():
        png = draw(preprocess.resize)
        real = load_image(io.BytesIO(png), preprocess)
        made.append(GoldenImage(name, png, to_stored(real[np.newaxis], stored_as), take(run(real[np.newaxis]), 0)))
    return tuple(made)


def check_golden_images(
    images: tuple[GoldenImage, ...], preprocess: Preprocess, stored_as: TensorInfo, where: str
) -> None:
    """EK502 when an image no longer becomes its tensor: another Pillow resamples differently."""
    rows = []
    for image in images:
        found = to_stored(load_image(io.BytesIO(image.png), preprocess)[np.newaxis], stored_as)
        different = int(np.count_nonzero(found != image.stored))
        if different:
            rows.append((f"{image.name}.png", f"{different} of {found.size}"))
    if rows:
        raise EdgekitError(
            "EK502",
            what="golden images no longer give their tensors: decoding or resampling changed",
            where=where,
            fix="compare manifest.json's version of pillow with: edgekit doctor",
            table=Table(("image", "values that differ"), tuple(rows)),
        )


def check_picture(name: str, png: bytes) -> None:
    """ValueError unless it is a PNG that can be decoded, of a size and kind that edgekit draws."""
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.mode not in MODES or image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels of {image.mode}")
            image.load()
    except Exception as error:  # Pillow raises many kinds for a damaged file
        raise ValueError(f"{name} cannot be decoded: {error}") from error


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels, in fractions of the preprocessing's shorter side; odd, so that nothing divides."""

    width: float
    height: float

    def of(self, resize: int) -> tuple[int, int]:
        return max(int(resize * self.width), 2) | 1, max(int(resize * self.height), 2) | 1


def draw_landscape(resize: int) -> bytes:
    """RGB, made smaller by 1.4."""
    return _png(Image.fromarray(_picture(*Size(2.1, 1.4).of(resize), 3)))


def draw_upscaled(resize: int) -> bytes:
    """RGB, upright, made larger by 1.7."""
    return _png(Image.fromarray(_picture(*Size(0.6, 0.77).of(resize), 3)))


def draw_transparent(resize: int) -> bytes:
    """RGBA whose transparent pixels keep their colours: alpha is dropped, not blended."""
    return _png(Image.fromarray(_picture(*Size(1.2, 1.9).of(resize), 4)))


def draw_grey(resize: int) -> bytes:
    """Greyscale, with an orientation tag that is not to be applied."""
    tags = Image.Exif()
    tags[ORIENTATION] = QUARTER_TURN
    return _png(Image.fromarray(_picture(*Size(1.7, 1.1).of(resize), 1)[..., 0]), exif=tags)


DRAWINGS: dict[str, Callable[[int], bytes]] = {
    "landscape": draw_landscape,
    "upscaled": draw_upscaled,
    "transparent": draw_transparent,
    "grey": draw_grey,
}
"""File name in the bundle's golden/ -> what draws it."""


def _picture(width: int, height: int, channels: int) -> Pixels:
    """u8[height, width, channels]: gradients, hard edges and noise, from integers alone."""
    y, x, c = np.meshgrid(*(np.arange(n, dtype=np.uint32) for n in (height, width, channels)), indexing="ij")
    gradient = 255 * (x * (c + 1) + y * (channels - c)) // ((channels + 1) * max(width, height))
    stripes = np.where((x // 7 + y // (5 + c)) % 2 == 0, np.uint32(200), np.uint32(30))
    mixed = (x * np.uint32(374761393) + y * np.uint32(668265263) + c * np.uint32(2246822519)) & np.uint32(0xFFFFFFFF)
    noise = ((mixed ^ (mixed >> np.uint32(13))) * np.uint32(1274126177)) >> np.uint32(24)
    left, top = x < width // 3, y < height // 3
    return np.where(left & top, noise, np.where(left, stripes, np.minimum(gradient, 255))).astype(np.uint8)


def _png(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=False, compress_level=9, pnginfo=PngInfo(), **options)
    return stream.getvalue()
