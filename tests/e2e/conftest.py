"""Models that know a little, and the images that they know, made once per session."""

from pathlib import Path

import numpy as np
import pytest
import torch
from brief import CLASSES, narrow
from PIL import Image
from safetensors.torch import save_file
from settled import smooth_images, train_briefly

from edgekit.registry import models

SIZE = 64
IMAGES = 16


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images with the spectrum of photographs."""
    folder = tmp_path_factory.mktemp("photographs")
    for index, image in enumerate(smooth_images(IMAGES, SIZE, SIZE)):
        pixels = np.clip(124 + 58 * image.transpose(1, 2, 0), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return folder


@pytest.fixture(scope="session")
def brief_weights(tmp_path_factory: pytest.TempPathFactory):
    """A function: model name -> a checkpoint trained for seconds, so that its classes and its int8 mean something."""
    folder, made = tmp_path_factory.mktemp("weights"), {}

    def make(name: str) -> Path:
        if name not in made:
            torch.manual_seed(0)
            module = train_briefly(
                models.get(name).build(num_classes=CLASSES, **narrow(name)), smooth_images(IMAGES, SIZE, SIZE)
            )
            made[name] = folder / f"{name}.safetensors"
            save_file(module.state_dict(), made[name])
        return made[name]

    return make
