"""RandAugment's operations against Pillow, which the papers' own code uses."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from edgekit.train import rand_augment

PIXELS = np.random.default_rng(3).integers(20, 230, (24, 24, 3), np.uint8)
UNIT = torch.from_numpy(PIXELS).permute(2, 0, 1)[None].float() / 255
PICTURE = Image.fromarray(PIXELS)


def changed(name, strength):
    out = getattr(rand_augment, f"_{name}")(UNIT, torch.tensor([strength])).clamp(0, 1)
    return (out[0].permute(1, 2, 0) * 255).numpy()


@pytest.mark.parametrize("strength", [-0.8, 0.3, 1.0])
@pytest.mark.parametrize(
    ("name", "enhance"),
    [
        ("colour", ImageEnhance.Color),
        ("contrast", ImageEnhance.Contrast),
        ("brightness", ImageEnhance.Brightness),
        ("sharpness", ImageEnhance.Sharpness),
    ],
)
def test_enhancements_are_pillows(name, enhance, strength):
    wanted = np.asarray(enhance(PICTURE).enhance(1 + 0.9 * strength), np.float32)
    inner = (slice(1, -1), slice(1, -1))  # Pillow's filter leaves the border out
    assert np.abs(changed(name, strength) - wanted)[inner].max() < 3.5  # it rounds in between


def test_levels_are_pillows():
    assert np.abs(changed("autocontrast", 1.0) - np.asarray(ImageOps.autocontrast(PICTURE), np.float32)).max() <= 1.01
    assert np.abs(changed("posterize", 1.0) - np.asarray(ImageOps.posterize(PICTURE, 4), np.float32)).max() < 1.01
    assert np.abs(changed("solarize", 0.5) - np.asarray(ImageOps.solarize(PICTURE, 128), np.float32)).max() <= 1.01


def test_equalize_spreads_the_levels():
    dark = UNIT * 0.2
    out = rand_augment._equalize(dark, torch.ones(1))
    assert float(out.min()) == 0
    assert float(out.max()) == 1
    order = dark.flatten().argsort()
    per_channel = [out[0, c].flatten()[dark[0, c].flatten().argsort()] for c in range(3)]
    assert len(order)
    assert all(bool((values.diff() >= 0).all()) for values in per_channel)


@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"])
def test_a_warp_of_no_strength_changes_nothing_and_one_of_strength_does(name):
    assert np.abs(changed(name, 0.0) - PIXELS).max() < 0.01
    assert np.abs(changed(name, 0.7) - PIXELS).mean() > 5


def test_translation_moves_by_less_than_half_the_side():
    ramp = torch.arange(32).float().div(32).expand(1, 1, 32, 32)
    moved = rand_augment._translate_x(ramp, torch.ones(1))
    assert float(moved[0, 0, 0, 0]) == pytest.approx(0.45, abs=0.02)


def test_every_operation_is_used_and_pictures_stay_in_range():
    generator = torch.Generator().manual_seed(0)
    draws = rand_augment.draw(500, generator)
    assert set(draws["operation"].flatten().tolist()) == set(range(14))
    out = rand_augment.apply(UNIT.expand(500, -1, -1, -1), draws, 10.0)
    assert float(out.min()) >= 0
    assert float(out.max()) <= 1
