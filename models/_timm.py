"""Records of timm's published weights, and of the ports that timm's releases host: one line a file."""

import math
from typing import Literal

from edgekit.registry import Preprocess, Weights

RELEASES = "https://github.com/rwightman/pytorch-image-models/releases/download/"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
INCEPTION = (0.5, 0.5, 0.5)
"""Mean and deviation of TensorFlow's checkpoints: pixels in -1..1."""


def timm_weights(
    tag: str,
    file: str,
    top1: float | None = None,
    *,
    name: str,
    size: int = 224,
    crop_pct: float = 0.875,
    interpolation: Literal["bilinear", "bicubic"] = "bicubic",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
    release: str = "v0.1-weights",
) -> Weights:
    """The record of an ImageNet checkpoint; the last part of the file's name is the start of its SHA-256.

    Args:
        tag: timm's name for it, "mobilenetv2_100.ra_in1k".
        name: as `--weights` takes it.
        size: input height and width in pixels.
        crop_pct: share of the resized image's shorter side that the crop keeps.
    """
    return Weights(
        name=name,
        location=f"{RELEASES}{release}/{file}",
        sha256=file.removesuffix(".pth").rpartition("-")[2],
        preprocess=Preprocess(
            resize=math.floor(size / crop_pct), crop=(size, size), interpolation=interpolation, mean=mean, std=std
        ),
        top1=top1,
        source=f"timm {tag}",
    )
