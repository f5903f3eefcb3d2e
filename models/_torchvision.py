"""Records of torchvision's published weights: one line a file."""

from dataclasses import replace
from typing import Literal

from edgekit.models._timm import INCEPTION
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
    transform_input: bool = False,
) -> Weights:
    """The record of an ImageNet checkpoint; torchvision writes the first digits of its SHA-256 into the file's name.

    Args:
        enum: torchvision's name for it, "ResNet50_Weights.IMAGENET1K_V2".
        name: as `--weights` takes it; where there are two, "imagenet" is the better one.
        transform_input: the weights are a port that wants pixels in -1..1. torchvision's module undoes ImageNet's
            normalisation first; here the preprocessing is what both together are, so the graph has nothing to undo.
    """
    preprocess = Preprocess(resize=resize, crop=(crop, crop), interpolation=interpolation)
    return Weights(
        name=name,
        location=BASE_URL + file,
        sha256=file.removesuffix(".pth").rpartition("-")[2],
        preprocess=replace(preprocess, mean=INCEPTION, std=INCEPTION) if transform_input else preprocess,
        top1=top1,
        source=f"torchvision {enum}",
    )
