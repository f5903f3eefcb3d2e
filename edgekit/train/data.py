"""Class folders of images, decoded once and kept in memory as bytes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgekit.images.folder import ImageFolder
from edgekit.registry import Preprocess


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Images with a class each.

    Args:
        pixels: u8[N, 3, size, size], RGB.
        labels: i64[N], index into `classes`.
        classes: folder names, sorted.
    """

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


def load_images(location: Path, size: int) -> LabelledImages:
    """Decode every image of `location`, a folder or .zip with one folder per class.

    The shorter side is resized to `size` (bilinear, antialiased) and the centre square cut.

    Raises:
        EdgekitError: EK102 nothing there; EK108 no image, or a corrupt one; EK109 no class folders.
    """
    folder = ImageFolder.open(location)
    labels = torch.tensor(folder.labels())
    as_decoded = Preprocess(resize=size, crop=(size, size), mean=(0.0,) * 3, std=(1 / 255,) * 3, labels=None)
    pixels = np.empty((len(folder), 3, size, size), np.uint8)
    for index, image in enumerate(folder.images(as_decoded)):
        pixels[index] = image
    return LabelledImages(torch.from_numpy(pixels), labels, folder.classes)
