"""Mixup and cutmix: pictures that are two at once, and labels that say how much of each.

    mixup    x = m x_a + (1 - m) x_b,  y = m y_a + (1 - m) y_b,  m ~ Beta(alpha, alpha)     arXiv:1710.09412
    cutmix   a rectangle of x_b, of the share 1 - m of the area, pasted into x_a            arXiv:1905.04899

Where both are asked for, each batch is given one of them at random. The other picture of each is the one beside it
among those that a process holds at once.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mix:
    """Args: mixup, cutmix: alpha of the distribution, 0: not."""

    mixup: float = 0.0
    cutmix: float = 0.0

    def __bool__(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    def __call__(self, images: Tensor, targets: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """f32[n, C, H, W] and targets f32[n, classes] that sum to 1 -> both mixed."""
        pastes = self.cutmix > 0 and (self.mixup == 0 or random.random() < 0.5)
        alpha = self.cutmix if pastes else self.mixup
        share = torch.from_numpy(random.beta(alpha, alpha, len(images)).astype(np.float32)).to(images.device)
        other, others = images.roll(1, 0), targets.roll(1, 0)
        if pastes:
            inside = _rectangles(1 - share, images.shape[2:], random)
            images = torch.where(inside[:, None], other, images)
            share = 1 - inside.float().mean((1, 2))
        else:
            images = torch.lerp(other, images, share.view(-1, 1, 1, 1))
        return images, torch.lerp(others, targets, share.view(-1, 1))


def _rectangles(area: Tensor, size: torch.Size, random: np.random.Generator) -> Tensor:
    """bool[n, H, W]: a rectangle of the image's proportions and this share of its area, whose centre is anywhere."""
    half = area.sqrt().view(-1, 1) / 2
    inside = []
    for length in size:
        centre = torch.from_numpy(random.random((len(area), 1), np.float32)).to(area.device)
        inside.append(((torch.arange(length, device=area.device) + 0.5) / length - centre).abs() < half)
    return inside[0][:, :, None] & inside[1][:, None, :]
