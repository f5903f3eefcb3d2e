"""DenseNet: growth rates, compression, and what its norms leave to the graph."""

import pytest
import torch
from torch import nn

from edgekit.models.densenet import DenseLayer, densenet121
from edgekit.profile import count


def test_a_layer_appends_to_its_input_in_order_of_arrival():
    layer = DenseLayer(6, 4, 2).eval()
    x = torch.randn(2, 6, 5, 3)
    y = layer(x)
    assert y.shape == (2, 10, 5, 3)
    assert torch.equal(y[:, :6], x)


def test_of_121_norms_only_59_stand_behind_a_convolution():
    norms = [name for name, part in densenet121().named_modules() if isinstance(part, nn.BatchNorm2d)]
    behind = [name for name in norms if name.endswith(("norm0", "norm2"))]
    assert (len(norms), len(behind)) == (121, 59)


def test_growth_rate_scales_stem_layers_and_classifier():
    with torch.device("meta"):
        narrow = densenet121(growth_rate=16)
    assert narrow.features.conv0.out_channels == 32
    assert narrow.features.denseblock1.denselayer1.conv1.out_channels == 64
    assert narrow.classifier.in_features == 512


def test_without_compression_a_transition_keeps_its_channels():
    with torch.device("meta"):
        module = densenet121(compression=1.0)
    assert module.features.transition1.conv.out_channels == 64 + 6 * 32
    assert count(module, (1, 3, 224, 224)).params > 7_978_856


@pytest.mark.parametrize(
    "options", [{"growth_rate": 0}, {"bottleneck": 0}, {"compression": 0.0}, {"compression": 1.5}], ids=str
)
def test_an_option_that_makes_no_network_is_refused_by_name(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        densenet121(**options)
