"""Depthwise convolutions on tiny feature maps, written out: the CPU kernel's weight gradient is very slow there.

At 64x64 input, three layers of 2x2 pixels take half of MobileNetV3-Small's training step. The same linear map,

    y[out, c] = sum over in of x[in, c] T[in, out, c],      T = the weight at the offset of the two pixels, else 0

is a product and a sum over contiguous channels: equal but for rounding.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn

MOST_PRODUCTS = 100
"""Input times output pixels up to which this form is faster (two cores, AVX-512, batch 256): 3x3 to 3x3, 4x4 to 2x2."""


class SmallMapDepthwise(nn.Conv2d):
    """A depthwise Conv2d with the same parameters; f32[N, C, H, W] -> f32[N, C, H', W']."""

    def forward(self, input: Tensor) -> Tensor:
        """Written out on tiny maps, the ordinary kernel on larger ones."""
        count, channels, height, width = input.shape
        index, out_height, out_width = _offsets(
            height, width, self.kernel_size[0], self.stride[0], int(self.padding[0])
        )
        if not 0 < index.numel() <= MOST_PRODUCTS:
            return super().forward(input)
        zero = self.weight.new_zeros(channels, 1)
        dense = torch.cat([self.weight.flatten(1), zero], 1)[:, index.flatten()].t().reshape(*index.shape, channels)
        pixels = input.permute(0, 2, 3, 1).reshape(count, height * width, 1, channels)
        maps = (pixels * dense).sum(1).view(count, out_height, out_width, channels)
        return maps.permute(0, 3, 1, 2)


def speed_up_small_maps(model: nn.Module) -> nn.Module:
    """Give every square depthwise convolution without bias the form above, in place; parameters and keys stay."""
    for part in model.modules():
        if type(part) is nn.Conv2d and _is_plain_depthwise(part):
            part.__class__ = SmallMapDepthwise
    return model


def _is_plain_depthwise(conv: nn.Conv2d) -> bool:
    square = all(
        isinstance(pair, tuple) and len(set(pair)) == 1 for pair in (conv.kernel_size, conv.stride, conv.padding)
    )
    depthwise = conv.groups == conv.in_channels == conv.out_channels > 1
    return square and depthwise and conv.bias is None and conv.dilation == (1, 1) and conv.padding_mode == "zeros"


@lru_cache
def _offsets(height: int, width: int, kernel: int, stride: int, padding: int) -> tuple[Tensor, int, int]:
    """i64[in, out]: which element of the flat kernel joins two pixels, kernel^2 for none; and the output's size."""
    with torch.inference_mode(False):  # it is kept: a tensor of an evaluation would be of no use in training
        return _make_offsets(height, width, kernel, stride, padding)


def _make_offsets(height: int, width: int, kernel: int, stride: int, padding: int) -> tuple[Tensor, int, int]:
    def along(size: int) -> Tensor:
        out = max(0, (size + 2 * padding - kernel) // stride + 1)  # none: left to the ordinary kernel's message
        return torch.arange(size)[:, None] + padding - stride * torch.arange(out)

    rows, columns = along(height)[:, None, :, None], along(width)[None, :, None, :]
    inside = (rows >= 0) & (rows < kernel) & (columns >= 0) & (columns < kernel)
    index = torch.where(inside, rows * kernel + columns, kernel * kernel)
    return index.reshape(height * width, -1), index.shape[2], index.shape[3]
