"""Random views of a batch, on tensors: one affine resampling does crop, mirror, warp and enlargement at once.

What is random is drawn for a whole batch first and applied to a part of it then: processes that share a batch draw the
same, and each takes its own images.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekit.registry import Preprocess
from edgekit.train import rand_augment
from edgekit.train.rand_augment import luma

CROP_FROM_PIXELS = 128
"""Inputs from this size on show photographs, of which a part says enough; smaller ones of objects that fill them."""

Draws = dict[str, Tensor]
"""Random numbers of a batch, by what they decide; the first axis is the image."""


@dataclass(frozen=True, slots=True)
class Normalize:
    """Pixels to the network's input: (x / 255 - mean) / std per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, feed: Preprocess) -> "Normalize":
        return cls(feed.mean, feed.std)

    def __call__(self, unit: Tensor) -> Tensor:
        """f32[N, C, H, W] in [0, 1] -> the same, normalised."""
        mean, std = (unit.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (unit - mean) / std


@dataclass(frozen=True, slots=True)
class Augment:
    """How far a random view may go from the image.

    Args:
        mirror: share of the images that are mirrored.
        area: the smallest share of the image that a random crop shows; 1: no crop.
        aspect: largest |log| of the crop's aspect ratio.
        shift: largest translation as a share of the side; what comes in from outside is the reflection.
        rotation: largest angle in degrees, `zoom` largest |log scale|, `shear` largest tangent.
        warped: share of the images that are rotated, zoomed and sheared.
        colour: largest relative change of brightness, contrast and saturation.
        coloured: share of the images whose colours change.
        magnitude: RandAugment's, 0 to 10; 0: not at all.
        erased: share of the images of which a rectangle of 2 % to 33 % becomes the mean colour (random erasing,
            arXiv:1708.04896).
    """

    mirror: float = 0.5
    area: float = 1.0
    aspect: float = 0.0
    shift: float = 0.125
    rotation: float = 15.0
    zoom: float = 0.2
    shear: float = 0.15
    warped: float = 0.35
    colour: float = 0.3
    coloured: float = 0.35
    magnitude: float = 0.0
    erased: float = 0.25

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """The random numbers of `count` images."""

        def uniform(bound: float = 1.0) -> Tensor:
            return (torch.rand(count, generator=generator) * 2 - 1) * bound

        def chosen(share: float) -> Tensor:
            """1.0 for a random `share` of the images, else 0.0."""
            return (torch.rand(count, generator=generator) < share).float()

        warped, coloured = chosen(self.warped), chosen(self.coloured)
        log_aspect = uniform(self.aspect)
        side = (self.area + (1 - self.area) * torch.rand(count, generator=generator)).sqrt()
        width, height = (side * torch.exp(sign * log_aspect / 2) for sign in (1, -1))
        width, height = width.clamp(max=1), height.clamp(max=1)
        draws = {
            "flip": 1 - 2 * chosen(self.mirror),
            "angle": warped * uniform(math.radians(self.rotation)),
            "scale": torch.exp(warped * uniform(self.zoom)),
            "shear": warped * uniform(self.shear),
            "width": width,
            "height": height,
            "right": uniform() * (1 - width) + uniform(2 * self.shift),
            "down": uniform() * (1 - height) + uniform(2 * self.shift),
            **{name: 1 + coloured * uniform(self.colour) for name in ("brightness", "contrast", "saturation")},
            "erased": chosen(self.erased),
            "hole": 0.02 + 0.31 * torch.rand(count, generator=generator),
            "hole_aspect": torch.exp(uniform(math.log(3.3))),
            "hole_row": torch.rand(count, generator=generator),
            "hole_column": torch.rand(count, generator=generator),
        }
        return {**draws, **(rand_augment.draw(count, generator) if self.magnitude else {})}

    def apply(self, pixels: Tensor, draws: Draws, size: tuple[int, int], normalize: Normalize) -> Tensor:
        """u8[N, C, h, w] -> f32[N, C, *size], normalised, channels last.

        Args:
            draws: of these images: what `draw` gave, or a part of it.
        """
        grid = F.affine_grid(_affine(draws), [len(pixels), pixels.shape[1], *size], align_corners=False)
        unit = pixels.float().div_(255)
        view = F.grid_sample(unit, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        if self.magnitude:
            view = rand_augment.apply(view, draws, self.magnitude)
        elif self.coloured:
            view = _recolour(view, draws)
        view = normalize(view)
        return (_erase(view, draws) if self.erased else view).contiguous(memory_format=torch.channels_last)


def policy(strength: str, size: tuple[int, int], magnitude: float, erased: float) -> Augment:
    """What `--augment none`, `light` or `full` means for an input size in pixels."""
    crop = {"area": 0.35, "aspect": 0.29, "shift": 0.0} if min(size) >= CROP_FROM_PIXELS else {}
    still = {"rotation": 0.0, "zoom": 0.0, "shear": 0.0, "warped": 0.0, "colour": 0.0, "coloured": 0.0}
    if strength == "none":
        return Augment(**{**still, "mirror": 0.0, "shift": 0.0}, magnitude=magnitude, erased=erased)
    if strength == "light" or magnitude:
        return Augment(**{**still, **crop}, magnitude=magnitude, erased=erased)
    return Augment(**crop, erased=erased)


def fitted(pixels: Tensor, feed: Preprocess) -> Tensor:
    """u8[N, C, h, w] -> f32[N, C, *feed.crop], normalised: what evaluation feeds.

    Pixels that were kept smaller than `feed.resize` are enlarged: bilinear with half-pixel centres, which is Pillow's
    enlargement up to the rounding to whole pixel values. The rest is exactly what an export's contract says.
    """
    unit = pixels.float().div_(255)
    side = kept_side(feed)
    if unit.shape[-1] != side:
        unit = F.interpolate(unit, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
    top, left = (round((side - wanted) / 2) for wanted in feed.crop)  # half to even, as center_crop cuts
    view = unit[:, :, top : top + feed.crop[0], left : left + feed.crop[1]]
    return Normalize.of(feed)(view).contiguous(memory_format=torch.channels_last)


def kept_side(feed: Preprocess) -> int:
    """Side in pixels of the square that holds all that a preprocessing looks at."""
    return max(feed.resize, *feed.crop)


def _affine(draws: Draws) -> Tensor:
    """f32[N, 2, 3]: from output to input coordinates, both -1..1 over the side."""
    angle, scale, shear, flip = (draws[name] for name in ("angle", "scale", "shear", "flip"))
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    width, height = draws["width"], draws["height"]
    rows = [
        torch.stack([width * flip * cos, width * (shear * cos - sin), draws["right"]], 1),
        torch.stack([height * flip * sin, height * (shear * sin + cos), draws["down"]], 1),
    ]
    return torch.stack(rows, 1)


def _recolour(unit: Tensor, draws: Draws) -> Tensor:
    brightness, contrast, saturation = (
        draws[name].view(-1, 1, 1, 1) for name in ("brightness", "contrast", "saturation")
    )
    grey = luma(unit)
    unit = grey + (unit - grey) * saturation
    mean = grey.mean((2, 3), keepdim=True)
    return (mean + (unit - mean) * contrast).mul_(brightness).clamp_(0, 1)


def _erase(view: Tensor, draws: Draws) -> Tensor:
    """A rectangle around a random centre becomes 0, the mean colour; it may hang over the edge."""
    side = (draws["hole"] * draws["erased"]).sqrt()
    halves = [side * draws["hole_aspect"].sqrt() / 2, side / draws["hole_aspect"].sqrt() / 2]
    keep = [
        (torch.arange(length, device=view.device) / length - draws[centre].view(-1, 1)).abs() >= half.view(-1, 1)
        for length, centre, half in zip(view.shape[2:], ("hole_row", "hole_column"), halves, strict=True)
    ]
    return view * (keep[0][:, None, :, None] | keep[1][:, None, None, :])
