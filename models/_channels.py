"""Operators on the channel axis that several families share."""

from torch import Tensor


def shuffle_channels(x: Tensor, groups: int) -> Tensor:
    """Interleave `groups` contiguous groups of channels: channel i of group g goes to i * groups + g.

    f32[N, C, H, W] -> f32[N, C, H, W]; `groups` divides C. Written as reshape, transpose, reshape, which is what
    the graph passes know as a channel shuffle.

    Source: Zhang et al. 2017, arXiv:1707.01083, section 3.1.
    """
    batch, channels, height, width = x.shape
    grouped = x.view(batch, groups, channels // groups, height, width)
    return grouped.transpose(1, 2).reshape(batch, channels, height, width)


def check_divisible(groups: int, **channels: int) -> None:
    """ValueError where `groups` does not divide a channel count, which the error names."""
    for name, count in channels.items():
        if count % groups or not count:
            raise ValueError(f"groups is {groups}, it must divide the {count} channels of the {name}")
