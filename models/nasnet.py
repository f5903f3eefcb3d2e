"""NASNet-A: Zoph et al. 2018, arXiv:1707.07012. Keys and module order of Cadene's pretrainedmodels.

It computes what TF-slim does: where a size is even, a strided window is shifted by one pixel (SAME padding puts the
odd pixel at the end), and average pools leave the padding out. The port reaches the shift by one row and column of
zeros in front and one more output, which is cropped away; it costs 0.1 % of the MACs, and the export folds it into the
padding. timm's nasnetalarge counts these zeros in four of its average pools, which moves its logits by 0.9 % of their
deviation.
"""

from collections import OrderedDict
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.models._blocks import batch_norm, init_weights
from edgekit.models._cadene import cadene_weights
from edgekit.models._timm import INCEPTION, timm_weights
from edgekit.registry import register_model

PAPER = "arXiv:1707.07012"
EPS = 1e-3
"""Of every BatchNorm: TF-slim's."""

Shift = tuple[int, int]
"""Rows and columns by which a strided window starts later than a symmetric padding has it: 0 or 1 each."""

CENTRED: Shift = (0, 0)

Adjust = Literal["project", "halve", "keep"]
"""How a cell takes the state before the current one: by a 1x1 convolution, by a strided pair of them, or as it is."""

GROUPS = 3
NUMBERS_A_GROUP = 6
"""Keys `cell_N` count six to a group of cells, however many it has."""


def same_shift(x: Tensor) -> Shift:
    """The shift that SAME padding has at stride 2 on this input: one pixel where a size is even."""
    return 1 - x.shape[2] % 2, 1 - x.shape[3] % 2


def shift_windows(layer: nn.Module, x: Tensor, shift: Shift) -> Tensor:
    """`layer`, of stride 2, with its windows moved by `shift`; at stride 1 they stay where they are."""
    rows, columns = shift
    padded = x if shift == CENTRED else F.pad(x, (columns, 0, rows, 0))
    y: Tensor = layer(padded)
    return y if shift == CENTRED else y[:, :, rows:, columns:]


class ReluConvNorm(nn.Sequential):
    """ReLU, 1x1 convolution, norm. f32[N, inputs, H, W] -> f32[N, outputs, H, W]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        super().__init__(OrderedDict(relu=nn.ReLU(), conv=conv, bn=batch_norm(EPS)(outputs)))


class SeparableConv(nn.Sequential):
    """Depthwise, then 1x1 pointwise, nothing between. f32[N, inputs, H, W] -> f32[N, outputs, H/stride, W/stride]."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__(
            OrderedDict(
                depthwise_conv2d=nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False),
                pointwise_conv2d=nn.Conv2d(inputs, outputs, 1, bias=False),
            )
        )


class Separable(nn.Module):
    """ReLU, separable convolution, norm; twice, the first time with the stride.

    f32[N, inputs, H, W] -> f32[N, outputs, H/stride, W/stride].
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.separable_1 = SeparableConv(inputs, outputs, kernel, stride)
        self.bn_sep_1 = batch_norm(EPS)(outputs)
        self.separable_2 = SeparableConv(outputs, outputs, kernel, 1)
        self.bn_sep_2 = batch_norm(EPS)(outputs)

    def forward(self, x: Tensor, shift: Shift = CENTRED) -> Tensor:
        y = self.bn_sep_1(shift_windows(self.separable_1, self.relu(x), shift))
        return _tensor(self.bn_sep_2(self.separable_2(self.relu(y))))


class Cell(nn.Module):
    """What both kinds of cell begin with: the two states that they read, brought to one size.

    Args:
        inputs: channels of the current state.
        previous: channels of the state before it.
        filters: width of the cell.
        adjust: how the previous state is taken.
    """

    def __init__(self, inputs: int, previous: int, filters: int, adjust: Adjust) -> None:
        super().__init__()
        self.halve = adjust == "halve"
        self.conv_prev_1x1 = ReluConvNorm(previous, filters) if adjust == "project" else None
        self.conv_1x1 = ReluConvNorm(inputs, filters)
        if self.halve:
            self.relu = nn.ReLU()
            self.path_1 = strided(previous, filters // 2)
            self.path_2 = strided(previous, filters // 2)
            self.final_path_bn = batch_norm(EPS)(filters)

    def adjusted(self, previous: Tensor) -> Tensor:
        """The previous state in the size of the current one.

        Halved, one half of the channels sees the even pixels and the other the odd ones, a zero where those run out.
        """
        if self.conv_prev_1x1:
            return _tensor(self.conv_prev_1x1(previous))
        if not self.halve:
            return previous
        x = self.relu(previous)
        return _tensor(
            self.final_path_bn(torch.cat([self.path_1(x), self.path_2(F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:])], dim=1))
        )


class NormalCell(Cell):
    """f32[N, inputs, H, W] and the previous state -> f32[N, 6 * filters, H, W]: the paper's figure 4, left."""

    def __init__(self, inputs: int, previous: int, filters: int, adjust: Adjust) -> None:
        super().__init__(inputs, previous, filters, adjust)
        self.average = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.comb_iter_0_left = Separable(filters, filters, 5)
        self.comb_iter_0_right = Separable(filters, filters, 3)
        self.comb_iter_1_left = Separable(filters, filters, 5)
        self.comb_iter_1_right = Separable(filters, filters, 3)
        self.comb_iter_4_left = Separable(filters, filters, 3)

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        x, before = self.conv_1x1(current), self.adjusted(previous)
        mean = self.average(before)
        combined = (
            self.comb_iter_0_left(x) + self.comb_iter_0_right(before),
            self.comb_iter_1_left(before) + self.comb_iter_1_right(before),
            self.average(x) + before,
            mean + mean,
            self.comb_iter_4_left(x) + x,
        )
        return torch.cat([before, *combined], dim=1)


class ReductionCell(Cell):
    """f32[N, inputs, H, W] and the previous state -> f32[N, 4 * filters, H/2, W/2]: the paper's figure 4, right."""

    def __init__(self, inputs: int, previous: int, filters: int, adjust: Adjust) -> None:
        super().__init__(inputs, previous, filters, adjust)
        width = previous if adjust == "keep" else filters
        self.strided_maximum = nn.MaxPool2d(3, 2, 1)
        self.strided_average = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        self.average = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.comb_iter_0_left = Separable(filters, filters, 5, 2)
        self.comb_iter_0_right = Separable(width, filters, 7, 2)
        self.comb_iter_1_right = Separable(width, filters, 7, 2)
        self.comb_iter_2_right = Separable(width, filters, 5, 2)
        self.comb_iter_4_left = Separable(filters, filters, 3)

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        x, before = self.conv_1x1(current), self.adjusted(previous)
        shift = same_shift(x)
        largest = shift_windows(self.strided_maximum, x, shift)
        first = self.comb_iter_0_left(x, shift) + self.comb_iter_0_right(before, shift)
        second = largest + self.comb_iter_1_right(before, shift)
        third = shift_windows(self.strided_average, x, shift) + self.comb_iter_2_right(before, shift)
        fourth = self.average(first) + second
        # The port shifts at stride 1 as well, where it changes nothing: its MACs are counted so.
        fifth = self.comb_iter_4_left(first, shift) + largest
        return torch.cat([second, third, fourth, fifth], dim=1)


class NASNet(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        stem: channels of the first convolution.
        cells: normal cells in each of the three groups: the paper's N.
        filters: width of the cells in the first group; it doubles from group to group.
        skip_reduction: whether the first cell after a reduction reads the state before the reduction's own input.
    """

    def __init__(self, stem: int, cells: int, filters: int, num_classes: int, skip_reduction: bool) -> None:
        super().__init__()
        self.cells, self.skip_reduction = cells, skip_reduction
        conv = nn.Conv2d(3, stem, 3, 2, bias=False)
        self.conv0 = nn.Sequential(OrderedDict(conv=conv, bn=batch_norm(EPS)(stem)))
        self.cell_stem_0 = ReductionCell(stem, stem, filters // 4, "keep")
        self.cell_stem_1 = ReductionCell(filters, stem, filters // 2, "halve")
        previous, current = filters, 2 * filters
        for group in range(GROUPS):
            width = filters * 2**group
            if group:
                self.add_module(f"reduction_cell_{group - 1}", ReductionCell(current, previous, width, "project"))
                previous, current = current, 4 * width
            for cell in range(cells):
                adjust: Adjust = "project" if cell else "halve"
                self.add_module(cell_name(group, cell), NormalCell(current, previous, width, adjust))
                previous, current = current, 6 * width
        self.relu = nn.ReLU()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)
        self.last_linear = nn.Linear(current, num_classes)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv0(x)
        previous = self.cell_stem_0(x, x)
        current = self.cell_stem_1(previous, x)
        for group in range(GROUPS):
            if group:
                reduced = self.get_submodule(f"reduction_cell_{group - 1}")(current, previous)
                previous, current = previous if self.skip_reduction else current, reduced
            for cell in range(self.cells):
                previous, current = current, self.get_submodule(cell_name(group, cell))(current, previous)
        return _tensor(self.last_linear(self.dropout(self.avg_pool(self.relu(current)).flatten(1))))


def strided(inputs: int, outputs: int) -> nn.Sequential:
    """A 1x1 convolution of every second pixel."""
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(inputs, outputs, 1, 2, bias=False)))


def cell_name(group: int, cell: int) -> str:
    return f"cell_{NUMBERS_A_GROUP * group + cell}"


def _tensor(value: Any) -> Tensor:
    """A module's result, of which torch's annotations say nothing."""
    result: Tensor = value
    return result


@register_model(
    params=5_289_978,
    macs=568_234_858,
    paper=PAPER,
    reference="pretrainedmodels/nasnetamobile",
    weights=(cadene_weights("nasnetamobile-7e03cead.pth", 74.08, mean=INCEPTION, std=INCEPTION),),
    min_input=3,
)
def nasnet_mobile(num_classes: int = 1000) -> nn.Module:
    """NASNet-A 4 @ 1056."""
    return NASNet(32, 4, 44, num_classes, skip_reduction=False)


@register_model(
    input_shape=(3, 331, 331),
    params=88_753_150,
    macs=23_809_955_634,
    paper=PAPER,
    reference="pretrainedmodels/nasnetalarge",
    weights=(
        cadene_weights("nasnetalarge-a1897284.pth", 82.566, size=331, mean=INCEPTION, std=INCEPTION),
        timm_weights(
            "nasnetalarge.tf_in1k",
            "nasnetalarge-dc4a7b8b.pth",
            82.638,
            name="imagenet-timm",
            size=331,
            crop_pct=0.911,
            mean=INCEPTION,
            std=INCEPTION,
        ),
    ),
    min_input=3,
)
def nasnet_large(num_classes: int = 1000) -> nn.Module:
    """NASNet-A 6 @ 4032."""
    return NASNet(96, 6, 168, num_classes, skip_reduction=True)
