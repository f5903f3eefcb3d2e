"""RandAugment on tensors: two operations a picture, chosen at random out of fourteen, of one magnitude.

Source: Cubuk et al. 2019, arXiv:1909.13719: K = 14 operations, N = 2. Magnitudes run from 0 to 10, and 10 is for each
operation the end of AutoAugment's range. Signs are random where an operation has two.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

OPERATIONS = 2
MOST = 10.0
GREY = (0.299, 0.587, 0.114)

Operation = Callable[[Tensor, Tensor], Tensor]
"""f32[n, C, H, W] in [0, 1] and strengths f32[n] in [-1, 1] -> the changed pictures."""


def draw(count: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Which operations, i64[count, 2], and their signs, f32[count, 2]."""
    return {
        "operation": torch.randint(len(TABLE), (count, OPERATIONS), generator=generator),
        "sign": torch.randint(2, (count, OPERATIONS), generator=generator).float() * 2 - 1,
    }


def apply(unit: Tensor, draws: dict[str, Tensor], magnitude: float) -> Tensor:
    """f32[N, C, H, W] in [0, 1] -> the same, each picture changed by its own operations."""
    for step in range(OPERATIONS):
        chosen, sign = draws["operation"][:, step], draws["sign"][:, step]
        changed = unit.clone()
        for place, operation in enumerate(TABLE):
            of = (chosen == place).nonzero().flatten()
            if len(of):
                changed[of] = operation(unit[of], sign[of] * (magnitude / MOST)).clamp(0, 1)
        unit = changed
    return unit


def _warp(unit: Tensor, rows: list[list[Tensor]]) -> Tensor:
    theta = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = F.affine_grid(theta, list(unit.shape), align_corners=False)
    return F.grid_sample(unit, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _rotate(unit: Tensor, strength: Tensor) -> Tensor:
    angle = strength * math.radians(30)
    cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    return _warp(unit, [[cos, -sin, zero], [sin, cos, zero]])


def _shear_x(unit: Tensor, strength: Tensor) -> Tensor:
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return _warp(unit, [[one, strength * 0.3, zero], [zero, one, zero]])


def _shear_y(unit: Tensor, strength: Tensor) -> Tensor:
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return _warp(unit, [[one, zero, zero], [strength * 0.3, one, zero]])


def _translate_x(unit: Tensor, strength: Tensor) -> Tensor:
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return _warp(unit, [[one, zero, strength * 0.9], [zero, one, zero]])  # 0.45 of the side


def _translate_y(unit: Tensor, strength: Tensor) -> Tensor:
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return _warp(unit, [[one, zero, zero], [zero, one, strength * 0.9]])


def _blend(unit: Tensor, other: Tensor, strength: Tensor) -> Tensor:
    """other + (unit - other) * (1 + 0.9 strength): Pillow's ImageEnhance."""
    return other + (unit - other) * (1 + 0.9 * strength.view(-1, 1, 1, 1))


def luma(unit: Tensor) -> Tensor:
    """f32[N, 1, H, W]: the brightness of colour images, the mean of any other number of channels."""
    if unit.shape[1] != len(GREY):
        return unit.mean(1, keepdim=True)
    return (unit * unit.new_tensor(GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _colour(unit: Tensor, strength: Tensor) -> Tensor:
    return _blend(unit, luma(unit), strength)


def _contrast(unit: Tensor, strength: Tensor) -> Tensor:
    return _blend(unit, luma(unit).mean((2, 3), keepdim=True), strength)


def _brightness(unit: Tensor, strength: Tensor) -> Tensor:
    return _blend(unit, torch.zeros_like(unit), strength)


def _sharpness(unit: Tensor, strength: Tensor) -> Tensor:
    channels = unit.shape[1]
    kernel = unit.new_tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]]).div(13).expand(channels, 1, 3, 3)
    return _blend(unit, F.conv2d(F.pad(unit, (1, 1, 1, 1), mode="replicate"), kernel, groups=channels), strength)


def _solarize(unit: Tensor, strength: Tensor) -> Tensor:
    threshold = 1 - strength.abs().view(-1, 1, 1, 1)
    return torch.where(unit >= threshold, 1 - unit, unit)


def _posterize(unit: Tensor, strength: Tensor) -> Tensor:
    """8 bits down to 4."""
    steps = 2 ** (8 - (strength.abs() * 4).round()).view(-1, 1, 1, 1)
    return (unit * 255 * steps / 256).floor() / steps * 256 / 255


def _autocontrast(unit: Tensor, strength: Tensor) -> Tensor:
    low, high = unit.amin((2, 3), keepdim=True), unit.amax((2, 3), keepdim=True)
    return torch.where(high > low, (unit - low) / (high - low).clamp(min=1e-6), unit)


def _equalize(unit: Tensor, strength: Tensor) -> Tensor:
    """Each channel through the cumulative histogram of its 256 levels."""
    planes = (unit * 255).round().long().clamp(0, 255).flatten(2).flatten(0, 1)
    row = torch.arange(len(planes), device=unit.device)[:, None] * 256
    counts = torch.bincount((planes + row).flatten(), minlength=len(planes) * 256).view(-1, 256)
    below = counts.cumsum(1).float()
    first = below.gather(1, planes.amin(1, keepdim=True))
    table = (below - first) / (planes.shape[1] - first).clamp(min=1)
    return table.gather(1, planes).view_as(unit)


def _identity(unit: Tensor, strength: Tensor) -> Tensor:
    return unit


TABLE: tuple[Operation, ...] = (
    *(_identity, _autocontrast, _equalize, _rotate, _solarize, _colour, _posterize),
    *(_contrast, _brightness, _sharpness, _shear_x, _shear_y, _translate_x, _translate_y),
)
