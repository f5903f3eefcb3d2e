"""DPN's two paths, and the published files' layout."""

import pytest
import torch
from golden_vectors import TOLERANCE, deviation, entries, fill, read_keys

from edgekit.models.dpn import DPN68, DualPath, layers
from edgekit.registry import models


def test_a_block_adds_to_the_first_channels_and_appends_to_the_rest():
    block = DualPath(inputs=20, residual=8, inner=8, growth=3, groups=2).eval()
    torch.nn.init.zeros_(block.c1x1_c.conv.weight)
    x = torch.randn(1, 20, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y = block(x)
    assert torch.equal(y[:, :20], x)
    assert y.shape == (1, 23, 4, 4)
    assert not y[:, 20:].any()


def test_a_first_block_starts_the_dense_path_with_three_growths():
    block = DualPath(6, 8, 8, 3, 2, stride=2, projection="c1x1_w_s2").eval()
    with torch.no_grad():
        assert block(torch.zeros(1, 6, 8, 8)).shape == (1, 8 + 3 * 3, 4, 4)


def test_the_last_norm_has_the_channels_of_the_last_concatenation():
    *_, (name, last) = layers(DPN68)
    assert (name, last.bn.num_features) == ("conv5_bn_ac", 832)


@pytest.mark.parametrize("name", ["dpn68", *(pytest.param(f"dpn{n}", marks=pytest.mark.slow) for n in (92, 98, 131))])
def test_cadenes_port_is_the_same_network(name, reference, golden):
    port = f"pretrainedmodels/{name}"
    assert deviation(fill(models.get(name).build(), read_keys(reference, port)), golden[port]) < TOLERANCE


@pytest.mark.parametrize("name", ["dpn68", "dpn92", "dpn98", "dpn131"])
def test_every_norm_has_the_epsilon_of_the_trained_weights(name):
    with torch.device("meta"):
        module = models.get(name).build()
    assert {layer.eps for layer in module.modules() if isinstance(layer, torch.nn.BatchNorm2d)} == {1e-3}


def test_published_files_are_fed_grey_values_less_a_mean_times_a_scale():
    [record] = models.get("dpn68").weights
    grey = torch.tensor([124.0, 117.0, 104.0])
    fed = (grey / 255 - torch.tensor(record.preprocess.mean)) / torch.tensor(record.preprocess.std)
    torch.testing.assert_close(fed, torch.zeros(3), atol=1e-6, rtol=0)
    assert 1 / 255 / record.preprocess.std[0] == pytest.approx(0.0167)
    assert entries(models.get("dpn68").build())[-1].key == "classifier.bias"
