"""Random views of a batch, on tensors: one affine resampling does the geometry and the enlargement at once."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class Normalize:
    """Pixels in 0..255 to the network's input: (x / 255 - mean) / std per channel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, unit: Tensor) -> Tensor:
        """f32[N, 3, H, W] in [0, 1] -> the same, normalised."""
        shape = (1, 3, 1, 1)
        return (unit - torch.tensor(self.mean).view(shape)) / torch.tensor(self.std).view(shape)


@dataclass(frozen=True, slots=True)
class Augment:
    """How far a random view may go from the image.

    Args:
        shift: largest translation as a share of the side.
        rotation: largest angle in degrees, `zoom` largest |log scale|, `shear` largest tangent.
        warped: share of the images that are rotated, zoomed and sheared.
        colour: largest relative change of brightness, contrast and saturation.
        coloured: share of the images whose colours change.
        hole: side of the erased square as a share of the image's side (cutout, arXiv:1708.04552).
        erased: share of the images with a hole.
    """

    shift: float = 0.125
    rotation: float = 15.0
    zoom: float = 0.2
    shear: float = 0.15
    warped: float = 0.35
    colour: float = 0.3
    coloured: float = 0.35
    hole: float = 0.4
    erased: float = 0.5

    def __call__(self, pixels: Tensor, size: int, normalize: Normalize, generator: torch.Generator) -> Tensor:
        """u8[N, 3, h, w] -> f32[N, 3, size, size], normalised, channels last."""
        unit = pixels.float().div_(255)
        theta = self._affine(len(pixels), generator)
        grid = F.affine_grid(theta, [len(pixels), 3, size, size], align_corners=False)
        view = F.grid_sample(unit, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        view = normalize(self._recolour(view, generator))
        return self._erase(view, generator).contiguous(memory_format=torch.channels_last)

    def _affine(self, count: int, generator: torch.Generator) -> Tensor:
        """f32[count, 2, 3]: from output to input coordinates, both -1..1 over the side."""
        chosen = _chosen(count, self.warped, generator)
        angle = chosen * _uniform(count, math.radians(self.rotation), generator)
        scale = torch.exp(chosen * _uniform(count, self.zoom, generator))
        shear = chosen * _uniform(count, self.shear, generator)
        flip = 1 - 2 * _chosen(count, 0.5, generator)
        cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
        rows = [
            torch.stack([flip * cos, shear * cos - sin, _uniform(count, 2 * self.shift, generator)], 1),
            torch.stack([flip * sin, shear * sin + cos, _uniform(count, 2 * self.shift, generator)], 1),
        ]
        return torch.stack(rows, 1)

    def _recolour(self, unit: Tensor, generator: torch.Generator) -> Tensor:
        count = len(unit)
        chosen = _chosen(count, self.coloured, generator)
        brightness, contrast, saturation = (
            (1 + chosen * _uniform(count, self.colour, generator)).view(count, 1, 1, 1) for _ in range(3)
        )
        grey = (unit * torch.tensor(GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)
        unit = grey + (unit - grey) * saturation
        mean = grey.mean((2, 3), keepdim=True)
        return (mean + (unit - mean) * contrast).mul_(brightness).clamp_(0, 1)

    def _erase(self, view: Tensor, generator: torch.Generator) -> Tensor:
        """A square around a random centre becomes 0, the mean colour; it may hang over the edge."""
        count, _, height, width = view.shape
        half = self.hole * _chosen(count, self.erased, generator) / 2
        keep = [
            (torch.arange(side) / side - torch.rand(count, 1, generator=generator)).abs() >= half.view(-1, 1)
            for side in (height, width)
        ]
        return view * (keep[0].view(count, 1, height, 1) | keep[1].view(count, 1, 1, width))


def enlarge(pixels: Tensor, size: int, normalize: Normalize) -> Tensor:
    """u8[N, 3, h, w] -> f32[N, 3, size, size], normalised: what evaluation feeds.

    Bilinear with half-pixel centres: Pillow's enlargement up to the rounding to whole pixel values.
    """
    unit = pixels.float().div_(255)
    if unit.shape[-1] != size:
        unit = F.interpolate(unit, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
    return normalize(unit).contiguous(memory_format=torch.channels_last)


def _uniform(count: int, bound: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * bound


def _chosen(count: int, share: float, generator: torch.Generator) -> Tensor:
    """1.0 for a random `share` of the images, else 0.0."""
    return (torch.rand(count, generator=generator) < share).float()
