"""Settled networks, and the images that they know, made once per session."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from settled import settle, smooth_images
from small import CLASSES, SMALL

from edgekit.registry import models
from edgekit.source.images import ImageFolder
from edgekit.source.zoo import reference_preprocess

SIZE = 64


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images with the spectrum of photographs."""
    folder = tmp_path_factory.mktemp("photographs")
    for index, image in enumerate(smooth_images(CLASSES, SIZE, SIZE)):
        pixels = np.clip(124 + 58 * image.transpose(1, 2, 0), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return folder


@pytest.fixture(scope="session")
def settled_weights(photographs: Path, tmp_path_factory: pytest.TempPathFactory):
    """A function: model name -> a checkpoint that knows the photographs, so that its int8 means something."""
    folder, made = tmp_path_factory.mktemp("weights"), {}

    def make(name: str) -> Path:
        if name not in made:
            options, size = SMALL[name]
            preprocess = reference_preprocess(models.get(name), CLASSES).at(size, size)
            (images,) = ImageFolder.open(photographs).batches(preprocess, CLASSES)
            torch.manual_seed(0)
            module = settle(models.get(name).build(num_classes=CLASSES, **options), images)
            made[name] = folder / f"{name}.safetensors"
            save_file({key: value.contiguous() for key, value in module.state_dict().items()}, made[name])
        return made[name]

    return make
