"""The written-out depthwise convolution equals nn.Conv2d in float64, values and gradients."""

import copy
import itertools

import pytest
import torch
from torch import nn

from edgekit.registry import models
from edgekit.train.small_maps import MOST_PRODUCTS, SmallMapDepthwise, speed_up_small_maps

CASES = [
    (kernel, stride, padding, height, width)
    for kernel, stride, padded, (height, width) in itertools.product(
        (3, 5), (1, 2), (False, True), ((1, 1), (2, 2), (2, 3), (3, 3), (4, 4), (5, 2), (5, 5))
    )
    if min(height, width) + 2 * (padding := kernel // 2 * padded) >= kernel
]


def pair(kernel, stride, padding, channels=6):
    plain = nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=False).double()
    fast = speed_up_small_maps(copy.deepcopy(plain))
    assert type(fast) is SmallMapDepthwise
    return plain, fast


def outputs_and_gradients(conv, x):
    x = x.clone().requires_grad_()
    y = conv(x)
    weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view_as(y)
    return y, *torch.autograd.grad((y * weights).sum(), (x, conv.weight))


@pytest.mark.parametrize(("kernel", "stride", "padding", "height", "width"), CASES)
def test_values_and_gradients_are_those_of_conv2d(kernel, stride, padding, height, width):
    plain, fast = pair(kernel, stride, padding)
    x = torch.randn(3, 6, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(outputs_and_gradients(fast, x), outputs_and_gradients(plain, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel", "size"), [(3, 2), (5, 2), (5, 4)])
def test_a_map_smaller_than_the_kernel_is_refused_as_conv2d_refuses_it(kernel, size):
    x = torch.zeros(1, 6, size, size, dtype=torch.float64)
    for conv in pair(kernel, 1, 0):
        with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
            conv(x)


def test_small_maps_are_written_out_and_larger_ones_are_not():
    _, fast = pair(3, 1, 1)
    small, large = (fast(torch.zeros(1, 6, size, size, dtype=torch.float64)).grad_fn.name() for size in (3, 4))
    assert 3**4 <= MOST_PRODUCTS < 4**4
    assert "Convolution" not in small
    assert "Convolution" in large


def test_channels_last_images_give_the_same():
    plain, fast = pair(3, 2, 1)
    x = torch.randn(2, 6, 4, 4, dtype=torch.float64).to(memory_format=torch.channels_last)
    torch.testing.assert_close(fast(x), plain(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False),
        nn.Conv2d(4, 4, (3, 1), padding=(1, 0), groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False, padding_mode="circular"),
        nn.Conv2d(4, 4, 3, padding="same", groups=4, bias=False),
        nn.Conv2d(1, 1, 3, padding=1, bias=False),
    ],
    ids=["bias", "multiplier", "grouped", "oblong", "dilated", "circular", "same", "one channel"],
)
def test_any_other_convolution_stays_as_it_is(conv):
    assert type(speed_up_small_maps(nn.Sequential(conv))[0]) is nn.Conv2d


def test_a_zoo_model_keeps_its_keys_and_outputs():
    model = models.get("mobilenet_v3_small").build(num_classes=5).eval()
    fast = speed_up_small_maps(copy.deepcopy(model))
    assert list(fast.state_dict()) == list(model.state_dict())
    assert sum(type(part) is SmallMapDepthwise for part in fast.modules()) == 11
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(fast(x), model(x), rtol=1e-4, atol=1e-5)
