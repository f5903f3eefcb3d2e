"""Networks of inverted residuals under timm's keys: MobileNet V2 and V3, EfficientNet, and TensorFlow's ports of them.

torchvision's layouts of the same networks are in their families' files. What a checkpoint was trained with and its
tensors do not show (padding, epsilon, activations) is a Style here.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.models._blocks import Activation, Norm, batch_norm, init_weights, stochastic_depth

TENSORFLOW_EPS = 1e-3


@dataclass(frozen=True, slots=True)
class Style:
    """What belongs to the checkpoint and not to its tensors.

    Args:
        same_padding: as TensorFlow pads; else half the kernel on every side. They differ at stride 2.
        eps: of every BatchNorm.
        gate: last activation of squeeze-excite, with values in 0..1.
        squeezed_activation: of its bottleneck.
    """

    same_padding: bool = False
    eps: float = 1e-5
    gate: Activation = nn.Sigmoid
    squeezed_activation: Activation = nn.ReLU

    @property
    def norm(self) -> Norm:
        return batch_norm(self.eps)


@dataclass(frozen=True, slots=True)
class Row:
    """One block; without expansion (`expanded` is the input's width) it is a separable convolution.

    Args:
        squeezed: width of the squeeze-excite bottleneck; 0: none.
        drop: share of samples that skip the branch in training.
    """

    kernel: int
    stride: int
    expanded: int
    outputs: int
    activation: Activation
    squeezed: int = 0
    drop: float = 0.0


Stages = tuple[tuple[Row, ...], ...]


class SamePadConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: ceil(size / stride) outputs, an odd pixel to the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (
            _same_padding(size, kernel, stride)
            for size, kernel, stride in zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
        )
        padded = F.pad(x, (*columns, *rows))
        return F.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """(before, after) along one axis."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def convolution(inputs: int, outputs: int, kernel: int, style: Style, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Without bias. At stride 1 both paddings are the same, and need no Pad of their own."""
    if style.same_padding and stride != 1:
        return SamePadConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)


class SqueezeExcite(nn.Module):
    """`x * gate(expand(activation(reduce(mean(x)))))`, under timm's keys. Source: arXiv:1709.01507, section 3."""

    def __init__(self, channels: int, squeezed: int, style: Style) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, squeezed, 1)
        self.act1 = style.squeezed_activation()
        self.conv_expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = style.gate()

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.gate(self.conv_expand(self.act1(self.conv_reduce(x.mean((2, 3), keepdim=True)))))
        return x * gate


class Residual(nn.Sequential):
    """Layers whose input is added when the shapes agree: f32[N, inputs, H, W] -> f32[N, outputs, H/s, W/s]."""

    def __init__(self, layers: "OrderedDict[str, nn.Module]", added: bool, drop: float) -> None:
        super().__init__(layers)
        self.added, self.drop = added, drop

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self:
            y = layer(y)
        return x + stochastic_depth(y, self.drop, self.training) if self.added else y


def make_block(inputs: int, row: Row, style: Style) -> Residual:
    """Expand 1x1 (unless the row does not widen), depthwise, squeeze-excite, project 1x1 without activation."""
    norm, hidden = style.norm, row.expanded
    expands = hidden != inputs
    first, second, third = ("bn1", "bn2", "bn3") if expands else ("", "bn1", "bn2")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if expands:
        layers["conv_pw"] = convolution(inputs, hidden, 1, style)
        layers[first] = norm(hidden)
        layers["act1"] = row.activation()
    layers["conv_dw"] = convolution(hidden, hidden, row.kernel, style, row.stride, hidden)
    layers[second] = norm(hidden)
    layers["act2"] = row.activation()
    if row.squeezed:
        layers["se"] = SqueezeExcite(hidden, row.squeezed, style)
    layers["conv_pwl" if expands else "conv_pw"] = convolution(hidden, row.outputs, 1, style)
    layers[third] = norm(row.outputs)
    return Residual(layers, row.stride == 1 and inputs == row.outputs, row.drop)


class InvertedResidualNet(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        stem: channels after the first convolution.
        stages: rows of `blocks.STAGE.BLOCK`.
        last: channels of the last convolution.
        hidden: width of the fully connected layer behind the pool, which only MobileNet V3 has; 0: none.
        activation: of stem and head.
    """

    def __init__(
        self,
        num_classes: int,
        stem: int,
        stages: Stages,
        last: int,
        style: Style,
        activation: Activation,
        *,
        hidden: int = 0,
        dropout: float = 0.2,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        norm = style.norm
        self.input_size = input_size
        self.conv_stem = convolution(3, stem, 3, style, stride=2)
        self.bn1 = norm(stem)
        self.act1 = activation()
        channels, blocks = stem, []
        for stage in stages:
            rows = []
            for row in stage:
                rows.append(make_block(channels, row, style))
                channels = row.outputs
            blocks.append(nn.Sequential(*rows))
        if hidden:
            blocks.append(nn.Sequential(_last_convolution(channels, last, style, activation)))
        self.blocks = nn.Sequential(*blocks)
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.pools_first = bool(hidden)
        if hidden:
            self.conv_head = nn.Conv2d(last, hidden, 1)
        else:
            self.conv_head = convolution(channels, last, 1, style)
            self.bn2 = norm(last)
        self.act2 = activation()
        self.drop = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden or last, num_classes)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(self.act1(self.bn1(self.conv_stem(x))))
        if self.pools_first:
            y = self.act2(self.conv_head(self.global_pool(y)))
        else:
            y = self.global_pool(self.act2(self.bn2(self.conv_head(y))))
        logits: Tensor = self.classifier(self.drop(y.flatten(1)))
        return logits


def _last_convolution(inputs: int, outputs: int, style: Style, activation: Activation) -> nn.Sequential:
    """MobileNet V3's, which timm counts among the blocks."""
    layers = OrderedDict(conv=convolution(inputs, outputs, 1, style), bn1=style.norm(outputs), act=activation())
    return nn.Sequential(layers)
