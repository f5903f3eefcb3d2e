"""Swin Transformer: Liu et al. 2021, arXiv:2103.14030. Keys and module order of torchvision.

Everything that depends on the size of the image alone (windows, shifts, masks, paddings) is decided in Python, so that
a traced graph holds no shape arithmetic: per block four transposes of windows and heads, and one added constant. That
is also why the windows are cut after the projection to queries, keys and values, and put back before the one behind the
attention: a projection works token by token, and one transpose then moves windows and heads together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.models._blocks import stochastic_depth
from edgekit.models._torchvision import torchvision_weights
from edgekit.registry import register_model

PAPER = "arXiv:2103.14030"

PATCH = 4
WINDOW = 7
HEAD = 32
"""Channels of an attention head."""

MLP_RATIO = 4
EPS = 1e-5
MASKED = -100.0
"""Added to the score of two tokens that only the cyclic shift made neighbours."""


class WindowAttention(nn.Module):
    """Self-attention within windows of 7x7 tokens: f32[N, H, W, C] -> f32[N, H, W, C], H and W multiples of 7.

    softmax(q k^T / sqrt(32) + bias (+ mask)) v; the scale is folded into the weights of q.

    Args:
        shift: by how many tokens the windows are moved down and right; where tokens wrap around, a mask parts them.

    Source: section 3.2, equation 4.
    """

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int, shift: int) -> None:
        super().__init__()
        self.heads, self.shift = heads, shift
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_positions(WINDOW))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        shift = (self._shift(height), self._shift(width))
        tokens = roll(x, (-shift[0], -shift[1])).reshape(-1, channels)
        query, key, value = (
            self._windows(F.linear(tokens, weight, bias), x.shape) for weight, bias in self._projections(channels)
        )
        scores = query @ key.transpose(-2, -1)
        attention = F.softmax(scores + self._bias(batch, height, width, shift), dim=-1)
        rows, columns = height // WINDOW, width // WINDOW
        mixed = (attention @ value).view(batch * rows, columns, self.heads, WINDOW, WINDOW, HEAD)
        mixed = self.proj(mixed.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels))
        return roll(mixed.view(x.shape), shift)

    def _shift(self, size: int) -> int:
        """A window that covers the map has nothing to look past its border for."""
        return 0 if size <= WINDOW else self.shift

    def _projections(self, channels: int) -> list[tuple[Tensor, Tensor]]:
        """Weights and bias of query, key and value."""
        parts = [
            (self.qkv.weight.narrow(0, part * channels, channels), self.qkv.bias.narrow(0, part * channels, channels))
            for part in range(3)
        ]
        (weight, bias), scale = parts[0], HEAD**-0.5
        return [(weight * scale, bias * scale), *parts[1:]]

    def _windows(self, tokens: Tensor, shape: Sequence[int]) -> Tensor:
        """f32[N H W, C], of a map of `shape` (N, H, W, C) -> f32[N windows, heads, 49, 32]."""
        batch, height, width, _ = shape
        rows, columns = height // WINDOW, width // WINDOW
        parts = tokens.view(batch * rows, WINDOW, columns, WINDOW, self.heads, HEAD).permute(0, 2, 4, 1, 3, 5)
        return parts.reshape(batch * rows * columns, self.heads, WINDOW**2, HEAD)

    def _bias(self, batch: int, height: int, width: int, shift: tuple[int, int]) -> Tensor:
        """What is added to the scores, mask included: f32[1 or N windows, heads, 49, 49]."""
        tokens = WINDOW**2
        bias = self.relative_position_bias_table.index_select(0, self.relative_position_index)
        bias = bias.view(1, tokens, tokens, self.heads).permute(0, 3, 1, 2)
        if not any(shift):
            return bias
        mask = shift_mask(height, width, shift, bias.device)
        return bias + (mask if batch == 1 else mask.repeat(batch, 1, 1, 1))


def relative_positions(window: int) -> Tensor:
    """Row of the bias table for every pair of tokens: i64[window^4], index (dh + w - 1) (2w - 1) + dw + w - 1."""
    axis = torch.arange(window)
    offsets = axis[:, None] - axis[None, :] + window - 1
    rows, columns = offsets[:, None, :, None], offsets[None, :, None, :]
    return (rows * (2 * window - 1) + columns).reshape(-1)


def shift_mask(height: int, width: int, shift: tuple[int, int], device: torch.device) -> Tensor:
    """f32[windows, 1, 49, 49]: 0 between tokens of one region of the unshifted map, -100 between others."""
    vertical, horizontal = (_regions(size, by) for size, by in zip((height, width), shift, strict=True))
    region = [
        [3 * vertical[top + i] + horizontal[left + j] for i in range(WINDOW) for j in range(WINDOW)]
        for top in range(0, height, WINDOW)
        for left in range(0, width, WINDOW)
    ]
    own = torch.tensor(region, dtype=torch.float32, device=device)
    difference = own.unsqueeze(1).unsqueeze(3) - own.unsqueeze(1).unsqueeze(2)
    return (difference * difference).clamp(max=1) * MASKED


def _regions(size: int, shift: int) -> list[int]:
    """The region of each token along an axis: whole windows, the last window's own, and what wrapped around."""
    if not shift:
        return [0] * size
    return [0] * (size - WINDOW) + [1] * (WINDOW - shift) + [2] * shift


def roll(x: Tensor, shifts: tuple[int, int]) -> Tensor:
    """Cyclic shift of f32[N, H, W, C] along H and W, as slices and a concatenation each."""
    for axis, shift in enumerate(shifts, 1):
        if shift % x.shape[axis]:
            cut = -shift % x.shape[axis]
            rest = x.shape[axis] - cut
            x = torch.cat((x.narrow(axis, cut, rest), x.narrow(axis, 0, cut)), axis)
    return x


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """f32[N, H, W, C] with zeros below and to the right."""
    down, right = -x.shape[1] % multiple, -x.shape[2] % multiple
    return F.pad(x, (0, 0, 0, right, 0, down)) if down or right else x


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): f32[N, H, W, C] -> the same. Source: equation 3."""

    def __init__(self, channels: int, heads: int, shift: int, drop: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, EPS)
        self.attn = WindowAttention(channels, heads, shift)
        self.norm2 = nn.LayerNorm(channels, EPS)
        hidden = MLP_RATIO * channels
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden), nn.GELU(), nn.Dropout(0.0), nn.Linear(hidden, channels), nn.Dropout(0.0)
        )
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        tokens = x.reshape(-1, channels)
        attended = self.attn(pad_to_multiple(self.norm1(tokens).view(x.shape), WINDOW))
        if attended.shape != x.shape:
            attended = attended[:, :height, :width]
        tokens = tokens + self._branch(attended.reshape(-1, channels), batch)
        tokens = tokens + self._branch(self.mlp(self.norm2(tokens)), batch)
        return tokens.view(x.shape)

    def _branch(self, tokens: Tensor, batch: int) -> Tensor:
        """Stochastic depth of f32[N H W, C], whole images at a time."""
        if not self.training:
            return tokens
        return stochastic_depth(tokens.view(batch, -1), self.drop, True).view(tokens.shape)


class PatchMerging(nn.Module):
    """Four neighbours become one token of twice the width: f32[N, H, W, C] -> f32[N, H/2, W/2, 2C].

    In the four, the row varies first: (0, 0), (1, 0), (0, 1), (1, 1).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels, EPS)

    def forward(self, x: Tensor) -> Tensor:
        x = pad_to_multiple(x, 2)
        batch, height, width, channels = x.shape
        x = x.view(batch * height // 2, 2, width // 2, 2, channels).permute(0, 2, 3, 1, 4)
        tokens: Tensor = self.reduction(self.norm(x.reshape(-1, 4 * channels)))
        return tokens.view(batch, height // 2, width // 2, 2 * channels)


class ChannelsLast(nn.Module):
    """f32[N, C, H, W] -> f32[N, H, W, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Size:
    """One of the paper's networks.

    Args:
        channels: of the first stage; each next has twice as many.
        drop: share of samples that skip the last branch in training; it grows linearly from 0 at the first.
    """

    channels: int
    depths: tuple[int, int, int, int]
    drop: float


TINY = Size(96, (2, 2, 6, 2), 0.2)
SMALL = Size(96, (2, 2, 18, 2), 0.3)
BASE = Size(128, (2, 2, 18, 2), 0.5)


class SwinTransformer(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes], at any H and W of at least a patch."""

    def __init__(self, size: Size, num_classes: int) -> None:
        super().__init__()
        channels, total, done = size.channels, sum(size.depths), 0
        embed = (nn.Conv2d(3, channels, PATCH, PATCH), ChannelsLast(), nn.LayerNorm(channels, EPS))
        layers: list[nn.Module] = [nn.Sequential(*embed)]
        for stage, depth in enumerate(size.depths):
            if stage:
                layers.append(PatchMerging(channels))
                channels *= 2
            blocks = []
            for number in range(depth):
                shift = WINDOW // 2 if number % 2 else 0
                blocks.append(Block(channels, channels // HEAD, shift, size.drop * done / (total - 1)))
                done += 1
            layers.append(nn.Sequential(*blocks))
        self.features = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(channels, EPS)
        self.head = nn.Linear(channels, num_classes)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        tokens = self.norm(features.flatten(0, 2)).view(features.shape)
        logits: Tensor = self.head(tokens.mean((1, 2)))
        return logits


@register_model(
    params=28_288_354,
    macs=4_490_566_656,
    paper=PAPER,
    min_input=PATCH,
    reference="torchvision/swin_t",
    weights=(
        torchvision_weights(
            "Swin_T_Weights.IMAGENET1K_V1", "swin_t-704ceda3.pth", 81.474, resize=232, interpolation="bicubic"
        ),
    ),
)
def swin_t(num_classes: int = 1000) -> nn.Module:
    """Swin-Tiny."""
    return SwinTransformer(TINY, num_classes)


@register_model(
    params=49_606_258,
    macs=8_740_875_264,
    paper=PAPER,
    min_input=PATCH,
    reference="torchvision/swin_s",
    weights=(
        torchvision_weights(
            "Swin_S_Weights.IMAGENET1K_V1", "swin_s-5e29d889.pth", 83.196, resize=246, interpolation="bicubic"
        ),
    ),
)
def swin_s(num_classes: int = 1000) -> nn.Module:
    """Swin-Small."""
    return SwinTransformer(SMALL, num_classes)


@register_model(
    params=87_768_224,
    macs=15_430_946_816,
    paper=PAPER,
    min_input=PATCH,
    reference="torchvision/swin_b",
    weights=(
        torchvision_weights(
            "Swin_B_Weights.IMAGENET1K_V1", "swin_b-68c6b09e.pth", 83.582, resize=238, interpolation="bicubic"
        ),
    ),
)
def swin_b(num_classes: int = 1000) -> nn.Module:
    """Swin-Base."""
    return SwinTransformer(BASE, num_classes)
