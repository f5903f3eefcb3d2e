"""Records of torchvision's published weights: one line a file."""

from typing import Literal

from edgekit.registry import Preprocess, Weights

BASE_URL = "https://download.pytorch.org/models/"


def torchvision_weights(
    enum: str,
    file: str,
    top1: float,
    *,
    name: str = "imagenet",
    resize: int = 256,
    crop: int = 224,
    interpolation: Literal["bilinear", "bicubic"] = "bilinear",
) -> Weights:
    """The record of an ImageNet checkpoint; torchvision writes the first digits of its SHA-256 into the file's name.

    Args:
        enum: torchvision's name for it, "ResNet50_Weights.IMAGENET1K_V2".
        name: as `--weights` takes it; where there are two, "imagenet" is the better one.
    """
    return Weights(
        name=name,
        location=BASE_URL + file,
        sha256=file.removesuffix(".pth").rpartition("-")[2],
        preprocess=Preprocess(resize=resize, crop=(crop, crop), interpolation=interpolation),
        top1=top1,
        source=f"torchvision {enum}",
    )
