"""Calibration images made from the model itself, for where no real ones are at hand.

A trained BatchNorm layer remembers mean and variance of its input over the training set. Images under which every layer
sees those statistics again excite the network as the training set did:

    minimise  sum over layers of  mean((m(x) - mean)^2 / var) + mean((s(x) / std - 1)^2)

with m(x), s(x) the mean and deviation per channel over a batch of images x, which start as smooth noise and move by
Adam within the range that pixels have.

Source: Cai et al. 2020 (ZeroQ), arXiv:2001.00281, section 3.1; dividing by the layer's own deviation is ours: without
it the layers with the largest activations decide alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.errors import EdgekitError
from edgekit.images.preprocess import denormalize, normalize
from edgekit.progress import Step
from edgekit.registry import Preprocess
from edgekit.target import FloatArray

BATCH = 20  # images optimised together: enough for statistics over the small maps of the last layers
STEPS = 60
LEARNING_RATE = 0.1  # in units of the normalised image
COARSE, FINE = 8, 0.3  # the starting noise: one value per 8x8 pixels, as smooth as photographs, and fine noise over it


def distill(
    module: nn.Module,
    input_shape: tuple[int, ...],
    preprocess: Preprocess,
    count: int,
    seed: int,
    progress: Step | None = None,
) -> FloatArray:
    """Optimise images from noise until the statistics of every BatchNorm layer match.

    Args:
        module: trained, in eval mode; it is not changed.
        input_shape: (1, C, H, W).
        preprocess: mean and std say which normalised values are pixels.
        count: how many images; made in batches, each of which matches the statistics on its own.
        progress: called with (steps done, steps in all).

    Returns:
        f32[count, C, H, W], normalised, every value that of a pixel in 0..255. The same seed gives the same images.

    Raises:
        EdgekitError: EK402 when the module has no BatchNorm layer with statistics, or none that images can be made for.
    """
    layers = statistics_layers(module)
    if not layers:
        raise EdgekitError(
            "EK402",
            what="the model has no BatchNorm statistics to distil calibration images from",
            where=type(module).__name__,
            fix="name real images: --calibration DIR",
        )
    generator = torch.Generator().manual_seed(seed)
    batches = -(-count // BATCH)
    made: list[FloatArray] = []
    for index in range(batches):
        images = pixel_limits(preprocess).clamp(smooth_noise((BATCH, *input_shape[1:]), generator))
        try:
            for step in optimise(module, layers, images, preprocess):
                if progress is not None:
                    progress(index * STEPS + step, batches * STEPS)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            raise _not_distilled(error, module) from error
        made.append(round_to_pixels(images.detach(), preprocess))
    return np.concatenate(made)[:count]


def _not_distilled(error: Exception, module: nn.Module) -> EdgekitError:
    """Why no gradient came from a batch of images: the forward pass is the user's, and may be made for one image."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return EdgekitError(
        "EK402",
        what=f"no calibration images can be distilled from {BATCH} at once: {reason}",
        where=type(module).__name__,
        fix="name real images: --calibration DIR",
    )


def statistics_layers(module: nn.Module) -> list[nn.BatchNorm2d]:
    """The BatchNorm layers that remember statistics."""
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d) and m.running_var is not None]


class Seen(Exception):
    """Ends a forward pass whose rest nobody needs."""


def early_distance(module: nn.Module, images: FloatArray, layers: int = 3) -> float | None:
    """Mean distance of the first BatchNorm layers' inputs from their statistics, for images f32[n, C, H, W].

    Tells a wrong channel order or normalisation, in a fraction of a forward pass. None where the module has such layers
    and its forward pass uses none of them.
    """
    chosen, distances = statistics_layers(module)[:layers], []

    def observe(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.BatchNorm2d)
        distances.append(float(layer_distance(layer, inputs[0])))
        if len(distances) == len(chosen):
            raise Seen

    handles = [layer.register_forward_pre_hook(observe) for layer in chosen]
    try:
        with torch.inference_mode():
            module(torch.from_numpy(images))
    except Seen:
        pass
    except Exception:  # noqa: BLE001 - the user's own code, which may take one image alone: what was seen counts
        pass
    finally:
        for handle in handles:
            handle.remove()
    return sum(distances) / len(distances) if distances else None


def smooth_noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """f32[N, C, H, W] of zero mean and unit deviation: coarse noise enlarged, with fine noise over it."""
    count, channels, height, width = shape
    small = torch.randn(count, channels, -(-height // COARSE), -(-width // COARSE), generator=generator)
    coarse = F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
    noise = coarse / coarse.std() + FINE * torch.randn(shape, generator=generator)
    return noise / noise.std()


def optimise(module: nn.Module, layers: list[nn.BatchNorm2d], images: Tensor, preprocess: Preprocess) -> Iterator[int]:
    """Move `images` in place, step by step; yields the number of the step just done."""
    limits = pixel_limits(preprocess)
    images.requires_grad_(True)
    optimiser = torch.optim.Adam([images], LEARNING_RATE)
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * step / STEPS)) / 2
        (gradient,) = torch.autograd.grad(statistics_distance(module, layers, images), images)
        images.grad = gradient
        optimiser.step()
        with torch.no_grad():
            images.copy_(limits.clamp(images))
        yield step + 1


def statistics_distance(module: nn.Module, layers: list[nn.BatchNorm2d], images: Tensor) -> Tensor:
    """The sum that is minimised, f32[]: how far the layers' inputs are from the statistics they remember."""
    distances: list[Tensor] = []

    def observe(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.BatchNorm2d)
        distances.append(layer_distance(layer, inputs[0]))

    handles = [layer.register_forward_pre_hook(observe) for layer in layers]
    try:
        module(images)
    finally:
        for handle in handles:
            handle.remove()
    if not distances:
        raise ValueError("the forward pass uses none of its BatchNorm layers")
    return torch.stack(distances).sum()


def layer_distance(layer: nn.BatchNorm2d, feature_map: Tensor) -> Tensor:
    """mean over channels of (m(x) - mean)^2 / var + (s(x) / std - 1)^2."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    variance, mean = torch.var_mean(feature_map, dim=(0, 2, 3), correction=0)
    wanted = layer.running_var + layer.eps
    deviation = (variance + layer.eps).sqrt() / wanted.sqrt()
    return ((mean - layer.running_mean).square() / wanted + (deviation - 1).square()).mean()


@dataclass(frozen=True, slots=True)
class Limits:
    """The normalised values of pixel 0 and pixel 255, f32[1, C, 1, 1]."""

    low: Tensor
    high: Tensor

    def clamp(self, images: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(images, self.low), self.high)


def pixel_limits(preprocess: Preprocess) -> Limits:
    mean, std = (torch.tensor(v, dtype=torch.float32).view(1, -1, 1, 1) for v in (preprocess.mean, preprocess.std))
    return Limits((0 - mean) / std, (1 - mean) / std)


def round_to_pixels(images: Tensor, preprocess: Preprocess) -> FloatArray:
    """The same images as an 8-bit file would hold them: what is measured can be stored."""
    return normalize(to_pixels(images.numpy(), preprocess), preprocess)


def to_pixels(images: FloatArray, preprocess: Preprocess) -> NDArray[np.uint8]:
    """f32[N, C, H, W], normalised -> u8[N, C, H, W]."""
    pixels: NDArray[np.uint8] = np.clip(np.rint(denormalize(images, preprocess) * 255), 0, 255).astype(np.uint8)
    return pixels
