"""ShuffleNet V1 and V2: the shuffle, widths, and the authors' counts."""

import json

import pytest
import torch
from golden_vectors import TOLERANCE, deviation, entries, fill, read_keys

from edgekit.models import shufflenet_v1, shufflenet_v2
from edgekit.models._channels import shuffle_channels
from edgekit.profile import count
from edgekit.registry import models

BIAS = 1000
"""Megvii's classifiers have none."""

V1_STEMS = {"0.5x_g3": 12, "1.0x_g3": 24, "1.5x_g3": 24, "2.0x_g3": 48}
V1_STEMS |= {"0.5x_g8": 16, "1.0x_g8": 24, "1.5x_g8": 24, "2.0x_g8": 48}
"""Outputs of Megvii's first convolution."""


@pytest.fixture(scope="module")
def measured(reference):
    """Name -> figures of the authors' own code."""
    return json.loads((reference / "facts.json").read_text())["extra_measurements"]


def count_of(name, **options):
    with torch.device("meta"):
        counts = count(models.get(name).build(**options), (1, 3, 224, 224))
    return counts.params, counts.macs


def test_the_shuffle_interleaves_the_groups():
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffle_channels(x, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert torch.equal(shuffle_channels(shuffle_channels(x, 2), 3), x)


@pytest.mark.parametrize("which", V1_STEMS)
def test_v1_costs_what_the_authors_code_does_and_a_bias(which, measured):
    width, groups = which.split("x_g")
    expected = measured[f"megvii_shufflenetv1_{which}"]
    found = count_of(f"shufflenet_v1_g{groups}", width=float(width), stem=V1_STEMS[which])
    assert found == (expected["params"] + BIAS, expected["macs_conv_linear"])


@pytest.mark.parametrize(("groups", "width"), [(3, 1.5), (3, 2.0), (8, 2.0)])
def test_v1_costs_what_pytorchcv_does(groups, width, measured):
    expected = measured[f"pytorchcv_shufflenet_g{groups}_w{width}"]
    found = count_of(f"shufflenet_v1_g{groups}", width=width)
    assert found == (expected["params"], expected["macs_conv_linear"])


@pytest.mark.parametrize(("name", "width"), [("wd2", 0.5), ("wd4", 0.25)])
def test_v1_of_other_widths_has_pytorchcvs_keys_and_logits(name, width, reference, golden):
    module = shufflenet_v1.shufflenet_v1_g3(width=width)
    assert entries(module) == read_keys(reference, f"pytorchcv/shufflenet_g3_{name}")
    assert deviation(fill(module, entries(module)), golden[f"pytorchcv/shufflenet_g3_{name}"]) < TOLERANCE


@pytest.mark.parametrize(("groups", "width"), [(4, 0.5), (8, 0.25), (8, 0.5)])
def test_v1_refuses_widths_that_its_groups_do_not_divide(groups, width):
    with pytest.raises(ValueError, match="groups is"):
        models.get(f"shufflenet_v1_g{groups}").build(width=width)


@pytest.mark.parametrize(("name", "width"), [("x0_5", "0.5x"), ("x1_0", "1.0x"), ("x1_5", "1.5x"), ("x2_0", "2.0x")])
def test_v2_in_the_papers_layout_costs_what_the_authors_code_does(name, width, measured):
    expected = measured[f"megvii_shufflenetv2_{width}"]
    found = count_of(f"shufflenet_v2_{name}", layout="paper")
    assert found == (expected["params"], expected["macs_conv_linear"])


def test_v2_keeps_half_of_its_channels_in_place_of_every_second():
    unit = shufflenet_v2.BasicUnit(8).eval()
    x = torch.randn(1, 8, 3, 3)
    assert torch.equal(unit(x)[:, ::2], x[:, :4])


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (shufflenet_v1.shufflenet_v1_g3, {"width": 0}),
        (shufflenet_v1.shufflenet_v1_g3, {"stem": 0}),
        (shufflenet_v1.shufflenet_v1_g1, {"width": -1.0}),
        (shufflenet_v2.shufflenet_v2_x1_0, {"layout": "megvii"}),
    ],
)
def test_an_option_that_makes_no_network_is_refused_by_name(build, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build(**options)
