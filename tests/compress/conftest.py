"""Small networks with every way in which channels are tied together."""

import pytest
import torch
from torch import Tensor, nn

from edgekit.models._blocks import SqueezeExcite
from edgekit.models._channels import shuffle_channels


def conv(inputs: int, outputs: int, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=groups == 1),
        nn.BatchNorm2d(outputs),
        nn.Hardswish() if outputs % 3 else nn.ReLU(),
    )


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner, self.outer = conv(channels, channels + 3), conv(channels + 3, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(self.inner(x))


class Branches(nn.Module):
    """A concatenation, of which a slice is added up again."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.left, self.right = conv(channels, channels, 1), conv(channels, channels)
        self.out = conv(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.left(x), self.right(x)], 1)
        first, second = both.split([x.shape[1] // 2, both.shape[1] - x.shape[1] // 2], 1)
        return self.out(torch.cat([second, first], 1)) + both[:, -x.shape[1] :]


class Strided(nn.Module):
    """Every second channel, of all lines but the first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner, self.outer = conv(channels, 2 * channels), conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(nn.functional.pad(self.inner(x)[:, ::2, 1:], (0, 0, 1, 0)))


class Depthwise(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(channels, 2 * channels, 1),
            conv(2 * channels, 2 * channels, groups=2 * channels),
            SqueezeExcite(2 * channels, channels // 2, nn.Hardsigmoid),
            conv(2 * channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Shuffled(nn.Module):
    """ShuffleNet V2's unit: half of the channels go round it, and both halves are mixed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.changed = conv(channels // 2, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        kept, other = x.chunk(2, 1)
        return shuffle_channels(torch.cat([kept, self.changed(other)], 1), 2)


class Grouped(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = conv(channels, channels, groups=2), conv(channels, channels, 1, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(shuffle_channels(self.first(x), 2))


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).reshape(n, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-2, -1)).softmax(-1)
        mixed = self.out((scores @ v).transpose(1, 2).reshape(n, h * w, c))
        return x + mixed.transpose(1, 2).reshape(n, c, h, w)


class PaddedShortcut(nn.Module):
    """ResNet's option A: channels of zeros are added up with those of a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide, self.back = conv(channels, channels + 4), conv(channels + 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.back(self.wide(x) + nn.functional.pad(x, (0, 0, 0, 0, 2, 2)))


class Upsampled(nn.Module):
    """Down and up again, with norms and activations of other kinds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 12, 3, 2, 1), nn.ConvTranspose2d(12, channels, 3, 2, 1, 1)
        self.activation, self.norm = nn.PReLU(12), nn.GroupNorm(2, channels)
        self.wide = nn.Upsample(scale_factor=2, mode="bilinear")

    def forward(self, x: Tensor) -> Tensor:
        y = self.activation(self.down(x))
        return x + self.norm(self.up(y)) + self.wide(y).mean(1, keepdim=True)


BLOCKS = (Residual, Branches, Strided, Depthwise, Shuffled, Grouped, Attention, PaddedShortcut, Upsampled)


def network(blocks: list[type[nn.Module]], channels: int = 8, seed: int = 0) -> nn.Module:
    """f32[1, 3, 6, 6] -> f32[1, 5], with statistics and gains that are not those of a new network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            conv(3, channels),
            *(block(channels) for block in blocks),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(channels * 9, 10),
            nn.BatchNorm1d(10),
            nn.ReLU(),
            nn.Linear(10, 5),
        )
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias)
                nn.init.normal_(part.running_mean)
                nn.init.uniform_(part.running_var, 0.5, 2)
    return net.eval()


@pytest.fixture(scope="session")
def image() -> Tensor:
    return torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))
