"""Records of the weights that R. Cadene's pretrainedmodels published, most of them ports of the authors' own files."""

from typing import Literal

from edgekit.registry import Preprocess, Weights

BASE_URL = "http://data.lip6.fr/cadene/pretrainedmodels/"


def cadene_weights(
    file: str,
    top1: float,
    *,
    name: str = "imagenet",
    size: int = 224,
    crop_pct: float = 0.875,
    interpolation: Literal["bilinear", "bicubic"] = "bilinear",
    mean: tuple[float, ...] = (0.485, 0.456, 0.406),
    std: tuple[float, ...] = (0.229, 0.224, 0.225),
    source: str = "",
) -> Weights:
    """The record of an ImageNet checkpoint; the last part of the file's name is the start of its SHA-256.

    Args:
        top1: as its README states it, or as `source` does.
        name: as `--weights` takes it.
        size: input height and width in pixels.
        crop_pct: share of the resized image's shorter side that the crop keeps.
    """
    title, _, digits = file.removesuffix(".pth").rpartition("-")
    return Weights(
        name=name,
        location=BASE_URL + file,
        sha256=digits,
        preprocess=Preprocess(
            resize=int(size / crop_pct), crop=(size, size), interpolation=interpolation, mean=mean, std=std
        ),
        top1=top1,
        source=source or f"pretrainedmodels {title}",
    )
