"""Random views: shapes, determinism, and how far they may go."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from edgekit.train.augment import Augment, Normalize, enlarge

HALF = Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
STILL = Augment(shift=0, rotation=0, zoom=0, shear=0, colour=0, hole=0, erased=0)
"""Nothing but the mirror image."""


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_pixels(count=8, size=16):
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=seeded(1))


@pytest.mark.parametrize("size", [16, 24, 33])
def test_a_view_is_normalised_channels_last_and_of_the_size_asked_for(size):
    view = Augment()(random_pixels(), size, HALF, seeded())
    assert view.shape == (8, 3, size, size)
    assert view.dtype == torch.float32
    assert view.is_contiguous(memory_format=torch.channels_last)
    assert view.min() >= -1
    assert view.max() <= 1


def test_the_generator_decides_every_view():
    pixels = random_pixels()
    first, again, other = (Augment()(pixels, 20, HALF, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_views_leave_the_global_generator_and_the_images_alone():
    pixels = random_pixels()
    copy, state = pixels.clone(), torch.get_rng_state()
    Augment()(pixels, 20, HALF, seeded())
    assert torch.equal(pixels, copy)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_any_change_a_view_is_the_image_or_its_mirror():
    pixels = random_pixels(32)
    view = STILL(pixels, 16, HALF, seeded())
    plain = HALF(pixels.float() / 255)
    mirrored = torch.tensor([torch.allclose(v, p.flip(2), atol=1e-4) for v, p in zip(view, plain, strict=True)])
    straight = torch.tensor([torch.allclose(v, p, atol=1e-4) for v, p in zip(view, plain, strict=True)])
    assert bool((mirrored ^ straight).all())
    assert 8 <= int(mirrored.sum()) <= 24


def test_a_hole_is_a_square_of_the_mean_colour_in_its_share_of_the_images():
    holed = replace(STILL, hole=0.5, erased=0.5)
    view = holed(torch.full((400, 3, 16, 16), 255, dtype=torch.uint8), 16, HALF, seeded())
    erased = (view == 0).all(1).flatten(1).sum(1)
    assert 150 < int((erased > 0).sum()) < 250
    assert int(erased.max()) in (64, 72, 81)  # half the side, squared; centres lie between pixels
    assert not (view == 0).any(1)[erased == 0].any()


def test_colours_change_in_their_share_of_the_images_and_stay_in_range():
    pixels = random_pixels(400, 4)
    view = replace(STILL, colour=0.3, coloured=0.25)(pixels, 4, HALF, seeded())
    plain = HALF(pixels.float() / 255)
    changed = torch.minimum((view - plain).abs().amax((1, 2, 3)), (view - plain.flip(3)).abs().amax((1, 2, 3))) > 1e-3
    assert 60 < int(changed.sum()) < 140
    assert float(view.abs().max()) <= 1


def test_a_shift_moves_by_no_more_than_its_share_of_the_side():
    ramp = torch.arange(0, 256, 4, dtype=torch.uint8).expand(200, 3, 64, 64).contiguous()
    view = replace(STILL, shift=0.125)(ramp, 64, Normalize((0.0,) * 3, (1.0,) * 3), seeded())
    middle = view[:, 0, 32, 31:33].mean(1) * 255 / 4  # in pixels; the ramp's middle is at 31.5
    moved = (middle - 31.5).abs()
    assert float(moved.max()) <= 8.01
    assert float(moved.max()) > 7


@pytest.mark.parametrize("size", [32, 40, 21, 16])
def test_enlarging_is_what_pillow_does_up_to_its_rounding(size):
    pixels = random_pixels(3, 16)
    found = enlarge(pixels, size, Normalize((0.0,) * 3, (1 / 255,) * 3))
    for image, resized in zip(pixels, found, strict=True):
        pillow = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((size, size), Image.Resampling.BILINEAR)
        assert np.abs(resized.permute(1, 2, 0).numpy() - np.asarray(pillow, np.float32)).max() <= 1.01
