"""Distilled images: BatchNorm statistics, pixels, seeds."""

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.quant import distill as distillation
from edgekit.quant.distill import (
    BATCH,
    distill,
    early_distance,
    layer_distance,
    pixel_limits,
    round_to_pixels,
    smooth_noise,
    statistics_distance,
    to_pixels,
)
from edgekit.registry import Preprocess

FEED = Preprocess(resize=18, crop=(16, 16))
SHAPE = (1, 3, 16, 16)


@pytest.fixture(scope="module")
def net():
    """Two convolutions whose BatchNorms have seen smooth, coloured images."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()
    )
    colours = torch.tensor([1.0, -0.5, 0.3]).view(1, 3, 1, 1)
    with torch.no_grad():
        for step in range(60):
            generator = torch.Generator().manual_seed(step)
            net(0.5 * smooth_noise((16, 3, 16, 16), generator) + colours)
    return net.eval()


@pytest.fixture(scope="module")
def made(net):
    return distill(net, SHAPE, FEED, 6, seed=3)


def distance(net, images):
    layers = [layer for layer in net if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        return float(statistics_distance(net, layers, torch.as_tensor(images)))


def test_the_statistics_of_distilled_images_are_much_closer_than_those_of_noise(net, made):
    noise = pixel_limits(FEED).clamp(smooth_noise((6, 3, 16, 16), torch.Generator().manual_seed(3)))
    assert distance(net, made) < 0.2 * distance(net, noise)


def test_the_same_seed_gives_the_same_images_and_another_one_others(net, made):
    assert np.array_equal(distill(net, SHAPE, FEED, 6, seed=3), made)
    assert not np.array_equal(distill(net, SHAPE, FEED, 6, seed=4), made)


def test_torchs_own_generator_and_the_module_stay_as_they_were(net):
    before = torch.random.get_rng_state(), [value.clone() for value in net.state_dict().values()]
    distill(net, SHAPE, FEED, 1, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert all(torch.equal(*pair) for pair in zip(net.state_dict().values(), before[1], strict=True))
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(layer._forward_pre_hooks for layer in net)


def test_every_value_is_that_of_a_pixel(made):
    assert (made.dtype, made.shape) == (np.float32, (6, 3, 16, 16))
    mean, std = (np.array(v, np.float32).reshape(-1, 1, 1) for v in (FEED.mean, FEED.std))
    pixels = (made * std + mean) * 255
    assert np.abs(pixels - np.rint(pixels)).max() < 1e-3
    assert pixels.min() > -0.5
    assert pixels.max() < 255.5
    assert np.array_equal(round_to_pixels(torch.from_numpy(made), FEED), made)
    assert to_pixels(made, FEED).dtype == np.uint8


def test_no_step_leaves_what_pixels_can_show(net):
    limits = pixel_limits(FEED)
    images = limits.clamp(smooth_noise((4, 3, 16, 16), torch.Generator().manual_seed(0)) * 3)
    layers = [layer for layer in net if isinstance(layer, nn.BatchNorm2d)]
    for step in distillation.optimise(net, layers, images, FEED):
        assert torch.equal(images, limits.clamp(images)), step
        if step == 5:
            break


def test_any_number_of_images_is_made_in_batches_with_progress(net, monkeypatch):
    monkeypatch.setattr(distillation, "STEPS", 2)
    seen = []
    images = distill(net, SHAPE, FEED, BATCH + 1, 0, lambda *at: seen.append(at))
    assert len(images) == BATCH + 1
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert not np.array_equal(images[0], images[BATCH])


@pytest.mark.parametrize(
    "module", [nn.Conv2d(3, 4, 3), nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))]
)
def test_a_model_without_statistics_is_refused_with_the_way_out(module):
    with pytest.raises(EdgekitError) as raised:
        distill(module.eval(), SHAPE, FEED, 1, 0)
    assert raised.value.code == "EK402"
    assert "--calibration DIR" in raised.value.fix


def test_the_distance_is_zero_where_the_statistics_are_met():
    layer, maps = nn.BatchNorm2d(3).eval(), torch.randn(4, 3, 5, 5) * 2 + 1
    layer.running_var.copy_(maps.var((0, 2, 3), correction=0))
    layer.running_mean.copy_(maps.mean((0, 2, 3)))
    assert float(layer_distance(layer, maps)) < 1e-10
    shifted = maps + layer.running_var.sqrt().view(1, 3, 1, 1)
    assert float(layer_distance(layer, shifted)) == pytest.approx(1.0, rel=1e-3), "one deviation off"


def test_the_starting_noise_is_smooth_and_normalised():
    noise = smooth_noise((4, 3, 40, 24), torch.Generator().manual_seed(0))
    assert noise.shape == (4, 3, 40, 24)
    assert float(noise.std()) == pytest.approx(1.0, abs=1e-5)
    neighbours = float((noise[..., 1:] - noise[..., :-1]).std())
    assert neighbours < 0.7, "of white noise it is 1.4"


def test_the_limits_are_black_and_white():
    limits = pixel_limits(FEED)
    black_white = torch.stack([limits.low, limits.high]).view(2, 3) * torch.tensor(FEED.std) + torch.tensor(FEED.mean)
    assert torch.allclose(black_white, torch.tensor([[0.0], [1.0]]).expand(2, 3), atol=1e-6)


class Unused(nn.Module):
    """Holds a BatchNorm layer that its forward pass does not use."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.conv(x)


class OneImage(Unused):
    """Is made for a batch of one, as code with fixed shapes is."""

    def forward(self, x):
        return self.norm(self.conv(x).view(1, 4, 14, 14))


class Cut(Unused):
    """Lets no gradient through to the image."""

    def forward(self, x):
        return self.norm(self.conv(x.detach()).detach())


@pytest.mark.parametrize("kind", [Unused, OneImage, Cut])
def test_statistics_that_no_batch_of_images_meets_are_refused(kind):
    with pytest.raises(EdgekitError) as raised:
        distill(kind().eval(), SHAPE, FEED, 1, 0)
    assert raised.value.code == "EK402"
    assert "--calibration DIR" in raised.value.fix


@pytest.mark.parametrize("kind", [Unused, OneImage])
def test_a_distance_that_cannot_be_taken_is_none(kind):
    assert early_distance(kind().eval(), np.zeros((4, 3, 16, 16), np.float32)) is None
