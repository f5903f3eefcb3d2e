"""A data set of twenty images and a network of a few hundred weights."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CLASSES = ("dark", "light", "striped")
IMAGES = 20


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty PNGs of 20x24 pixels in three class folders."""
    root = tmp_path_factory.mktemp("images")
    noise = np.random.default_rng(7)
    for index in range(IMAGES):
        name = CLASSES[index % 3]
        pixels = noise.integers(0, 90, (24, 20, 3), np.uint8) + np.uint8(0 if name == "dark" else 120)
        if name == "striped":
            pixels[:, ::4] = 0
        (root / name).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / name / f"{index:02}.png")
    return root
