"""Random views: what each knob may change, and that processes which share a batch draw the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from edgekit.images.preprocess import load_image
from edgekit.registry import Preprocess
from edgekit.train.augment import Augment, Normalize, fitted, policy

HALF = Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
STILL = Augment(shift=0, rotation=0, zoom=0, shear=0, warped=0, colour=0, coloured=0, erased=0)
"""Nothing but the mirror image."""


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_pixels(count=8, size=16):
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=seeded(1))


def view(augment, pixels, size, seed=0, normalize=HALF):
    return augment.apply(pixels, augment.draw(len(pixels), seeded(seed)), (size, size), normalize)


@pytest.mark.parametrize("size", [16, 24, 33])
def test_a_view_is_normalised_channels_last_and_of_the_size_asked_for(size):
    seen = view(Augment(), random_pixels(), size)
    assert seen.shape == (8, 3, size, size)
    assert seen.is_contiguous(memory_format=torch.channels_last)
    assert seen.min() >= -1
    assert seen.max() <= 1


def test_the_generator_decides_every_view_and_the_images_stay():
    pixels = random_pixels()
    copy, state = pixels.clone(), torch.get_rng_state()
    first, again, other = (view(Augment(magnitude=5), pixels, 20, seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(pixels, copy)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("augment", [Augment(), Augment(magnitude=9), Augment(area=0.35, aspect=0.29)])
def test_a_part_of_a_batch_is_seen_as_in_the_whole(augment):
    pixels, draws = random_pixels(12), augment.draw(12, seeded())
    whole = augment.apply(pixels, draws, (16, 16), HALF)
    part = slice(4, 8)
    alone = augment.apply(pixels[part], {name: value[part] for name, value in draws.items()}, (16, 16), HALF)
    assert torch.allclose(whole[part], alone, atol=1e-6)


def test_without_any_change_a_view_is_the_image_or_its_mirror():
    pixels = random_pixels(32)
    seen, plain = view(STILL, pixels, 16), HALF(pixels.float() / 255)
    mirrored = torch.tensor([torch.allclose(v, p.flip(2), atol=1e-4) for v, p in zip(seen, plain, strict=True)])
    straight = torch.tensor([torch.allclose(v, p, atol=1e-4) for v, p in zip(seen, plain, strict=True)])
    assert bool((mirrored ^ straight).all())
    assert 8 <= int(mirrored.sum()) <= 24


def test_a_crop_shows_a_part_inside_the_image():
    ramp = torch.arange(64, dtype=torch.uint8).mul(4).expand(200, 3, 64, 64).contiguous()
    cropping = replace(STILL, mirror=0, area=0.25)
    seen = view(cropping, ramp, 64, normalize=Normalize((0.0,) * 3, (1.0,) * 3)) * 255 / 4
    width = seen[:, 0, 32, -1] - seen[:, 0, 32, 0]  # in columns of the image
    assert 31 < float(width.min()) < 36
    assert 58 < float(width.max()) <= 63.01
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 63.01


def test_a_shift_moves_by_no_more_than_its_share_of_the_side():
    ramp = torch.arange(0, 256, 4, dtype=torch.uint8).expand(200, 3, 64, 64).contiguous()
    seen = view(replace(STILL, shift=0.125), ramp, 64, normalize=Normalize((0.0,) * 3, (1.0,) * 3))
    middle = seen[:, 0, 32, 31:33].mean(1) * 255 / 4  # in pixels; the ramp's middle is at 31.5
    moved = (middle - 31.5).abs()
    assert 7 < float(moved.max()) <= 8.01


def test_a_rectangle_of_the_mean_colour_is_erased_in_its_share_of_the_images():
    seen = view(replace(STILL, erased=0.5), torch.full((400, 3, 16, 16), 255, dtype=torch.uint8), 16)
    erased = (seen == 0).all(1).flatten(1).float().mean(1)
    assert 150 < int((erased > 0).sum()) < 250
    assert 0.28 < float(erased.max()) < 0.45  # a third of the area, in whole pixels
    assert not (seen == 0).any(1)[erased == 0].any()


def test_colours_change_in_their_share_of_the_images_and_stay_in_range():
    pixels = random_pixels(400, 4)
    seen, plain = view(replace(STILL, colour=0.3, coloured=0.25), pixels, 4), HALF(pixels.float() / 255)
    changed = torch.minimum((seen - plain).abs().amax((1, 2, 3)), (seen - plain.flip(3)).abs().amax((1, 2, 3))) > 1e-3
    assert 60 < int(changed.sum()) < 140
    assert float(seen.abs().max()) <= 1


def test_grey_pictures_are_augmented_as_well():
    grey = Normalize((0.5,), (0.5,))
    assert view(Augment(magnitude=9), random_pixels()[:, :1], 16, normalize=grey).shape == (8, 1, 16, 16)


def test_photographs_are_cropped_and_small_images_are_shifted():
    assert policy("full", (224, 224), 0, 0.25).area < 1
    assert (policy("full", (64, 64), 0, 0.25).area, policy("full", (64, 64), 0, 0.25).shift) == (1, 0.125)
    assert policy("none", (64, 64), 0, 0) == replace(STILL, mirror=0)
    assert policy("light", (64, 64), 0, 0) == replace(STILL, shift=0.125)


@pytest.mark.parametrize(
    ("feed", "image"), [((32, 32, 28), (40, 36)), ((36, 32, 24), (50, 36)), ((24, 24, 24), (24, 24))]
)
def test_what_is_measured_on_is_what_an_export_feeds(tmp_path, feed, image):
    """Kept as whole squares, pictures become exactly the input that the contract describes."""
    resize, height, width = feed
    preprocess = Preprocess(resize, (height, width), labels=None)
    Image.fromarray(random_pixels(1, 60)[0].permute(1, 2, 0).numpy()).resize(image).save(tmp_path / "a.png")
    side = max(feed)
    kept = load_image(tmp_path / "a.png", replace(preprocess, crop=(side, side), mean=(0.0,) * 3, std=(1 / 255,) * 3))
    fed = fitted(torch.from_numpy(kept.astype(np.uint8))[None], preprocess)[0].numpy()
    assert np.abs(fed - load_image(tmp_path / "a.png", preprocess)).max() < 1e-5


def test_smaller_pictures_are_enlarged_as_pillow_does_up_to_its_rounding():
    pixels = random_pixels(3, 16)
    found = fitted(pixels, Preprocess(40, (40, 40), mean=(0.0,) * 3, std=(1 / 255,) * 3, labels=None))
    for image, resized in zip(pixels, found, strict=True):
        pillow = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((40, 40), Image.Resampling.BILINEAR)
        assert np.abs(resized.permute(1, 2, 0).numpy() - np.asarray(pillow, np.float32)).max() <= 1.01
