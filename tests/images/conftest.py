"""Small pictures."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def noise():
    """u8[height, width, channels] of seeded noise."""

    def make(height: int, width: int, channels: int = 3, seed: int = 0):
        return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)

    return make
