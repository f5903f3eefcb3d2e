"""Mixup and cutmix: pictures and labels agree about how much of each there is."""

import numpy as np
import pytest
import torch

from edgekit.train.mix import Mix

IMAGES = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 3, 16, 16)
TARGETS = torch.eye(8)


@pytest.mark.parametrize("mix", [Mix(mixup=0.4), Mix(cutmix=1.0), Mix(0.4, 1.0)])
def test_labels_say_how_much_of_each_picture_there_is(mix):
    for seed in range(10):
        images, targets = mix(IMAGES, TARGETS, np.random.default_rng(seed))
        assert torch.allclose(targets.sum(1), torch.ones(8))
        own = targets.diagonal()
        others = IMAGES.roll(1, 0)[:, 0, 0, 0]
        mean = images.mean((1, 2, 3))
        assert torch.allclose(mean, own * IMAGES[:, 0, 0, 0] + (1 - own) * others, atol=1e-5)


def test_cutmix_pastes_and_mixup_blends():
    pasted, _ = Mix(cutmix=1.0)(IMAGES, TARGETS, np.random.default_rng(1))
    blended, _ = Mix(mixup=1.0)(IMAGES, TARGETS, np.random.default_rng(1))
    assert set(pasted.unique().tolist()) <= set(range(8))
    assert not set(blended.unique().tolist()) <= set(range(8))


def test_nothing_asked_for_is_no_mix_and_a_seed_decides_the_rest():
    assert not Mix()
    first, again = (Mix(0.2, 1.0)(IMAGES, TARGETS, np.random.default_rng(5))[0] for _ in range(2))
    assert torch.equal(first, again)
