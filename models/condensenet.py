"""CondenseNet: Huang et al. 2018, arXiv:1711.09224. Keys and module order of pytorchcv's converted networks.

Dense connections across scales: a stage ends in an average pool and nothing else, so every layer reads all earlier
results, and the growth rate doubles. `form="training"` builds the network that learns its groups:

    network = condensenet74_c4_g4(form="training")
    ... in every epoch:  network.condense(epoch / epochs)
    ... in every step:   loss = cross_entropy + GROUP_LASSO * network.group_lasso()
    exported = convert(network)
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from edgekit.models._blocks import batch_norm, init_weights
from edgekit.models._channels import check_divisible
from edgekit.models._learned_groups import IndexedGroupConv, IndexedLinear, LearnedGroupConv
from edgekit.registry import register_model

PAPER = "arXiv:1711.09224"

BOTTLENECK = 4
"""Outputs of a layer's 1x1 per channel that the layer appends."""

GROUP_LASSO = 1e-5
"""Weight of the group lasso in the paper's ImageNet training."""

Form = Literal["converted", "training"]
FORMS = ("converted", "training")


@dataclass(frozen=True, slots=True)
class Config:
    """One network.

    Args:
        depths: layers of each stage.
        growth: channels that each layer of the first stage appends; it doubles from stage to stage. The stem has twice
            as many.
        stride: of the stem.
        groups, factor: G and C of the learned group convolutions; the 3x3 has G groups too.
    """

    depths: tuple[int, ...]
    growth: int
    stride: int
    groups: int
    factor: int


IMAGENET_DEPTHS = (4, 6, 8, 10, 8)
CIFAR_GROWTH = {50: 8, 74: 8, 86: 8, 98: 8, 110: 8, 122: 8, 182: 12}
"""Depth of the paper's networks for 32x32 pixels -> growth rate of the first of three equal stages."""


def make_config(groups: int, factor: int, cifar_depth: int | None) -> Config:
    """The ImageNet network, or the one of `cifar_depth` layers: 6 n + 2, n in each stage."""
    if cifar_depth is None:
        return Config(IMAGENET_DEPTHS, 8, 2, groups, factor)
    if cifar_depth not in CIFAR_GROWTH:
        raise ValueError(f"cifar_depth is {cifar_depth}, it must be one of {', '.join(map(str, CIFAR_GROWTH))}")
    return Config(((cifar_depth - 2) // 6,) * 3, CIFAR_GROWTH[cifar_depth], 1, groups, factor)


class NormActConv(nn.Module):
    """Norm, ReLU, grouped 3x3: f32[N, inputs, H, W] -> f32[N, outputs, H, W]."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        check_divisible(groups, input=inputs, output=outputs)
        self.bn = batch_norm()(inputs)
        self.activ = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(self.activ(self.bn(x)))
        return y


class CondenseLayer(nn.Module):
    """Learned or indexed 1x1, grouped 3x3; the result is appended to the input.

    f32[N, inputs, H, W] -> f32[N, inputs + growth, H, W].
    """

    def __init__(self, first: LearnedGroupConv | IndexedGroupConv, inner: int, growth: int, groups: int) -> None:
        super().__init__()
        self.conv1 = first
        self.conv2 = NormActConv(inner, growth, groups)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv2(self.conv1(x))], 1)


First = Callable[[int, int], LearnedGroupConv | IndexedGroupConv]
"""(inputs, outputs) -> a layer's 1x1."""


class CondenseNet(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes]; in training form, or converted."""

    def __init__(self, config: Config, num_classes: int, form: Form) -> None:
        super().__init__()
        self.config, self.form = config, form
        if config.depths != IMAGENET_DEPTHS:
            self.input_size, self.min_input = (32, 32), 4
        self.features = nn.Sequential(OrderedDict(_layers(config, _first_of(config, form))))
        norm = self.features.get_submodule("post_activ.bn")
        assert isinstance(norm, nn.BatchNorm2d)
        channels = norm.num_features
        self.final_pool = nn.AdaptiveAvgPool2d(1)
        self.output = (
            IndexedLinear(channels // 2, num_classes) if form == "converted" else nn.Linear(channels, num_classes)
        )
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.output(self.final_pool(self.features(x)).flatten(1))
        return logits

    def learned(self) -> list[LearnedGroupConv]:
        """The layers that condense; none in converted form."""
        return [part for part in self.modules() if isinstance(part, LearnedGroupConv)]

    def condense(self, progress: float) -> None:
        """Bring every layer to the stage that belongs to this share of the training, 0..1."""
        for layer in self.learned():
            layer.condense(progress)

    def group_lasso(self) -> Tensor:
        """f32[]: the regularizer that makes the weights of a group small together; 0 when condensed.

        ValueError in converted form, which has no groups left to learn.
        """
        if not self.learned():
            raise ValueError('this network is converted: build it with form="training" to train it')
        return torch.stack([layer.group_lasso() for layer in self.learned()]).sum()


def _first_of(config: Config, form: Form) -> First:
    groups, factor = config.groups, config.factor
    if form == "training":
        return lambda inputs, outputs: LearnedGroupConv(inputs, outputs, groups, factor)
    return lambda inputs, outputs: IndexedGroupConv(inputs, outputs, groups, factor)


def _layers(config: Config, first: First) -> Iterator[tuple[str, nn.Module]]:
    """The network before its last pool, by key. No norm and no ReLU follow the stem: each layer has its own."""
    channels = 2 * config.growth
    yield "init_block", nn.Sequential(OrderedDict(conv=nn.Conv2d(3, channels, 3, config.stride, 1, bias=False)))
    for number, depth in enumerate(config.depths):
        growth, inner = config.growth << number, BOTTLENECK * (config.growth << number)
        stage = OrderedDict[str, nn.Module]()
        if number:
            stage["trans"] = nn.AvgPool2d(2, 2)
        for unit in range(1, depth + 1):
            stage[f"unit{unit}"] = CondenseLayer(first(channels, inner), inner, growth, config.groups)
            channels += growth
        yield f"stage{number + 1}", nn.Sequential(stage)
    yield "post_activ", nn.Sequential(OrderedDict(bn=batch_norm()(channels), activ=nn.ReLU(inplace=True)))


def convert(network: CondenseNet) -> CondenseNet:
    """The converted form of a condensed network, in evaluation mode.

    ValueError before its last stage, and for a network that is converted already.

    Features are those of the masked network, the same sums without their zeros. Logits are not: the classifier keeps
    the half of its inputs with the largest weights.
    """
    classifier = network.output
    if not isinstance(classifier, nn.Linear):
        raise ValueError("the network is converted already")
    converted = CondenseNet(network.config, classifier.out_features, "converted").eval()
    same = {key: value for key, value in network.features.state_dict().items() if ".conv1." not in key}
    converted.features.load_state_dict(same, strict=False)
    for name, layer in network.named_modules():
        if isinstance(layer, LearnedGroupConv):
            indexed = converted.get_submodule(name)
            assert isinstance(indexed, IndexedGroupConv)
            indexed.take(layer)
    assert isinstance(converted.output, IndexedLinear)
    converted.output.take(classifier)
    return converted


def build(groups: int, factor: int, num_classes: int, form: Form, cifar_depth: int | None) -> CondenseNet:
    """A network by the options of the command line; ValueError for one that does not exist."""
    if form not in FORMS:
        raise ValueError(f"form is {form!r}, it must be one of {', '.join(FORMS)}")
    return CondenseNet(make_config(groups, factor, cifar_depth), num_classes, form)


@register_model(
    params=4_773_944,
    macs=516_640_576,
    paper=PAPER,
    reference="pytorchcv/condensenet74_c4_g4",
    min_input=31,
)
def condensenet74_c4_g4(
    num_classes: int = 1000, form: Form = "converted", cifar_depth: int | None = None
) -> CondenseNet:
    """CondenseNet-74, C = G = 4.

    Args:
        form: "converted", selections and grouped convolutions, or "training", dense convolutions that condense.
        cifar_depth: one of the paper's networks for 32x32 pixels instead: 50, 74, 86, 98, 110, 122 or 182.
    """
    return build(4, 4, num_classes, form, cifar_depth)


@register_model(
    params=2_935_416,
    macs=261_545_792,
    paper=PAPER,
    reference="pytorchcv/condensenet74_c8_g8",
    min_input=31,
)
def condensenet74_c8_g8(
    num_classes: int = 1000, form: Form = "converted", cifar_depth: int | None = None
) -> CondenseNet:
    """CondenseNet-74, C = G = 8.

    Args:
        form: "converted", selections and grouped convolutions, or "training", dense convolutions that condense.
        cifar_depth: one of the paper's networks for 32x32 pixels instead: 50, 74, 86, 98, 110, 122 or 182.
    """
    return build(8, 8, num_classes, form, cifar_depth)
