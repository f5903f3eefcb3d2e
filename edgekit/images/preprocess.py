"""From an image file to the model's input, exactly as torchvision's evaluation transform does it.

Resampling alone moves accuracy by tenths of a point, so there is one implementation, and its steps go into the
contract word for word. Source: torchvision.transforms.functional, `_compute_resized_output_size` and `center_crop`.
"""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from edgekit.registry import Preprocess
from edgekit.target import FloatArray

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Channels of a model -> Pillow's mode of the images that it can be fed."""
MOST_PIXELS = 1 << 27  # of an image made smaller or larger: a strip of one pixel by many would fill the memory
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def load_image(file: str | Path | BinaryIO, preprocess: Preprocess) -> FloatArray:
    """Decode and preprocess one image.

    Returns:
        f32[C, crop height, crop width]; C = len(preprocess.mean), 3 for colour, 1 for greyscale, 4 for colour and the
        alpha plane as it is stored.

    Errors:
        OSError, SyntaxError, ValueError, Image.DecompressionBombError: what Pillow raises for a broken file. Image
        folders turn them into EK108, which names the file.
    """
    with Image.open(file) as image:
        pixels = np.asarray(center_crop(resize(to_mode(image, preprocess), preprocess), preprocess.crop))
    if preprocess.channel_order == "BGR":
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[-1])]] if pixels.ndim == 3 else pixels
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return normalize(planes, preprocess)


def to_mode(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """8-bit RGB; 8-bit greyscale for one-channel models, RGBA for those of four.

    Errors:
        ValueError: more than 8 bits a pixel, which converting would clip instead of scale; an image without as many
            planes as the model takes.
    """
    channels = len(preprocess.mean)
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"{image.mode} pixels have more than 8 bits")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns about a direct conversion
    if channels not in MODES or (channels == 4 and image.mode != "RGBA"):
        raise ValueError(f"{image.mode} pixels, where the model takes {channels} channels")
    return image.convert(MODES[channels])


def resize(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Shorter side to `preprocess.resize` pixels; the longer side is truncated, not rounded, to whole pixels.

    Columns first, then rows, in two calls: both round to 8 bits, so their order shows in the result, and from 13 on
    Pillow alone would take the rows of a tall image first. This is what every Pillow before it gives.
    """
    short, long = sorted(image.size)
    scaled = preprocess.resize, int(preprocess.resize * long / short)
    if scaled[0] * scaled[1] > MOST_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels would become {scaled[0]} x {scaled[1]}")
    size = scaled if image.width <= image.height else scaled[::-1]
    if image.mode == "RGBA":  # Pillow would multiply the colours by alpha first
        return Image.merge("RGBA", [resize(plane, preprocess) for plane in image.split()])
    for step in ((size[0], image.height), size):
        image = image if step == image.size else image.resize(step, RESAMPLING[preprocess.interpolation])
    return image


def center_crop(image: Image.Image, crop: tuple[int, int]) -> Image.Image:
    """Cut (height, width) from the centre; black where the image is smaller.

    torchvision rounds half to even when it cuts and down when it pads; so does this.
    """
    top, left = (_margin(have, want) for have, want in zip((image.height, image.width), crop, strict=True))
    return image.crop((left, top, left + crop[1], top + crop[0]))


def _margin(have: int, want: int) -> int:
    return round((have - want) / 2) if have >= want else -((want - have) // 2)


def normalize(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], preprocess: Preprocess) -> FloatArray:
    """u8[C, H, W] -> f32[C, H, W]: (pixels / 255 - mean) / std in float32, the order that torchvision uses."""
    values = np.ascontiguousarray(pixels, dtype=np.float32)
    if takes_raw_pixels(preprocess):
        return values  # dividing and multiplying by 255 would not give back every integer exactly
    values /= np.float32(255)
    values -= per_channel(preprocess.mean)
    values /= per_channel(preprocess.std)
    return values


def denormalize(images: FloatArray, preprocess: Preprocess) -> FloatArray:
    """f32[..., C, H, W], normalised -> pixels in 0..1, or beyond where no pixel gives the value."""
    return images * per_channel(preprocess.std) + per_channel(preprocess.mean)


def renormalize(pixels: FloatArray, preprocess: Preprocess) -> FloatArray:
    """Pixels in 0..1, f32[..., C, H, W] -> normalised."""
    return (pixels - per_channel(preprocess.mean)) / per_channel(preprocess.std)


def per_channel(values: tuple[float, ...]) -> FloatArray:
    """f32[C, 1, 1], to be broadcast over an image's pixels."""
    return np.array(values, np.float32).reshape(-1, 1, 1)


def takes_raw_pixels(preprocess: Preprocess) -> bool:
    """Whether the input is 0..255 as decoded (the normalisation was folded into the graph)."""
    return not any(preprocess.mean) and all(std == 1 / 255 for std in preprocess.std)


def resampling(preprocess: Preprocess) -> dict[str, Any]:
    """The resize as data, for contract.json: what Pillow computes, in words that another language can follow.

    docs/preprocessing.md is the same in full.
    """
    cubic = preprocess.interpolation == "bicubic"
    return {
        "filter": "cubic, a = -0.5" if cubic else "triangle",
        "support": 2 if cubic else 1,
        "antialias": "the filter widens with the reduction factor",
        "pixel_centres": "half",
        "weights": "float64, divided by their sum, then round(weight * 2^22), halves away from zero",
        "passes": ["horizontal", "vertical"],
        "each_pass": "clip((2^21 + sum of weight * pixel) >> 22, 0, 255), 32-bit integers",
        "grey": "(19595 R + 38470 G + 7471 B + 32768) >> 16, before the resize",
    }


def steps(preprocess: Preprocess) -> tuple[str, ...]:
    """The same, one sentence a step, for contract.json; the last step leaves float32."""
    height, width = preprocess.crop
    channels = len(preprocess.mean)
    grey = channels == 1
    planes = {1: "greyscale", 3: "RGB", 4: "RGBA, not premultiplied"}.get(channels, f"planes, {channels} of them")
    said = [
        f"decode the image to 8-bit {planes}, as stored: EXIF orientation is not applied",
        f"resize the shorter side to {preprocess.resize} pixels, keeping the aspect ratio and truncating the longer"
        f" side to whole pixels ({preprocess.interpolation}, antialiased, half-pixel centres: Pillow's resampling)",
        f"cut the centre {height} x {width} pixels (height x width), black where the image is smaller",
    ]
    if preprocess.channel_order == "BGR":
        said.append("reverse the channels from RGB to BGR")
    if takes_raw_pixels(preprocess):
        return (*said, "convert to float32, keeping the values 0 to 255")
    said.append("convert to float32 and divide by 255")
    order = "" if grey else f" (in {preprocess.channel_order} order)"
    if any(preprocess.mean):
        said.append(f"subtract {_listed(preprocess.mean)} per channel{order}")
    if any(std != 1 for std in preprocess.std):
        said.append(f"divide by {_listed(preprocess.std)} per channel{order}")
    return tuple(said)


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
