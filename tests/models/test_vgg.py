"""AlexNet and VGG: layers by the papers' tables, and where their parameters are."""

import pytest
import torch
from torch import nn

from edgekit.models import vgg
from edgekit.models.alexnet import alexnet
from edgekit.registry import models

TABLE_1 = {
    "vgg11": "64 M 128 M 256 256 M 512 512 M 512 512 M",
    "vgg13": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    "vgg16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    "vgg19": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}
"""Columns A, B, D and E of the paper's table 1; M is a 2x2 max pool."""


def on_meta(build, **options):
    with torch.device("meta"):
        return build(**options)


def spelled(module):
    words = [
        str(layer.out_channels) if isinstance(layer, nn.Conv2d) else "M"
        for layer in module.features
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d)
    ]
    return " ".join(words)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("name", TABLE_1)
def test_layers_are_those_of_the_papers_table(name, normalized):
    module = on_meta(getattr(vgg, f"{name}_bn" if normalized else name))
    assert spelled(module) == TABLE_1[name]
    layers = list(module.features)
    behind = [nn.BatchNorm2d, nn.ReLU] if normalized else [nn.ReLU]
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            assert (layer.kernel_size, layer.stride, layer.padding, layer.dilation) == ((3, 3), (1, 1), (1, 1), (1, 1))
            assert layer.bias is not None
            assert [type(each) for each in layers[index + 1 : index + 1 + len(behind)]] == behind


@pytest.mark.parametrize("name", TABLE_1)
def test_depth_counts_the_layers_with_weights(name):
    module = on_meta(getattr(vgg, name))
    weighted = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(weighted) == int(name.removeprefix("vgg"))


def test_nine_tenths_of_vgg16_are_linear_layers_and_nearly_all_macs_are_not():
    module, spec = on_meta(vgg.vgg16), models.get("vgg16")
    linear = sum(p.numel() for p in module.classifier.parameters())
    assert linear == 123_642_856
    assert linear / spec.params == pytest.approx(0.89, abs=0.005)
    assert sum(layer.weight.numel() for layer in module.classifier if isinstance(layer, nn.Linear)) < 0.01 * spec.macs


def test_batch_norm_adds_two_parameters_a_channel():
    for name in TABLE_1:
        plain, normalized = (models.get(each).params for each in (name, f"{name}_bn"))
        channels = sum(int(word) for word in TABLE_1[name].split() if word != "M")
        assert normalized - plain == 2 * channels


def test_alexnets_layers_are_those_of_the_single_tower():
    module = on_meta(alexnet)
    assert spelled(module) == "64 M 192 M 384 256 256 M"
    convolutions = [layer for layer in module.features if isinstance(layer, nn.Conv2d)]
    assert [(c.kernel_size[0], c.stride[0], c.padding[0], c.groups) for c in convolutions] == [
        (11, 4, 2, 1),
        (5, 1, 2, 1),
        (3, 1, 1, 1),
        (3, 1, 1, 1),
        (3, 1, 1, 1),
    ]
    assert all((p.kernel_size, p.stride) == (3, 2) for p in module.features if isinstance(p, nn.MaxPool2d))
    assert not [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d | nn.LocalResponseNorm)]


@pytest.mark.parametrize(("build", "side"), [(alexnet, 6), (vgg.vgg11, 7)])
def test_the_average_pool_changes_nothing_at_224_pixels(build, side):
    module = on_meta(build)
    maps = module.features(torch.zeros(1, 3, 224, 224, device="meta"))
    assert maps.shape[2:] == (side, side)
    x = torch.rand(1, 2, side, side)
    assert torch.equal(module.avgpool(x), x)


@pytest.mark.parametrize("build", [alexnet, vgg.vgg11, vgg.vgg11_bn])
def test_it_takes_its_smallest_input_and_no_smaller_one(build):
    module, smallest = on_meta(build, num_classes=4).eval(), models.get(build.__name__).min_input
    assert module(torch.zeros(1, 3, smallest, smallest, device="meta")).shape == (1, 4)
    with pytest.raises(RuntimeError):
        module(torch.zeros(1, 3, smallest - 1, smallest - 1, device="meta"))


@pytest.mark.slow
@pytest.mark.parametrize("build", [alexnet, vgg.vgg11])
def test_a_fresh_network_neither_dies_nor_explodes(build):
    torch.manual_seed(0)
    maps = build(num_classes=2).eval().features(torch.randn(2, 3, 96, 96))
    assert 0.05 < maps.std() < 20
    assert (maps > 0).float().mean() > 0.1
