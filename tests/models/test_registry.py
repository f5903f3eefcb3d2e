"""Every model of the zoo against what it declares and against the reference that it names; none is exempt."""

import pytest
import torch
from golden_vectors import TOLERANCE, deviation, entries, fill, read_keys

from edgekit.models.resnet import CifarResNet, project
from edgekit.profile import count
from edgekit.registry import models

SLOW_GOLDEN = {"resnet101", "resnet152"}
OPTION_A = "akamaster/resnet"
"""References that no golden vectors exist of. Their networks are those of pytorchcv with another shortcut."""

PROJECTIONS = (16 * 32 + 32 * 64 + 2 * (32 + 64), 16 * 16 * 16 * 32 + 8 * 8 * 32 * 64)
"""Parameters and MACs of the two 1x1 shortcuts and their norms, which option A does without."""


def on_meta(name):
    """The model without memory: shapes only."""
    with torch.device("meta"):
        return models.get(name).build()


def expected_counts(reference, facts):
    """(parameters, MACs) of a reference. Option A is measured nowhere: it is option B without its projections."""
    if not reference.startswith(OPTION_A):
        return facts[reference]["params"], facts[reference]["macs_incl_matmul"]
    blocks = (int(reference.removeprefix(OPTION_A)) - 2) // 6
    small, large = facts["pytorchcv/resnet20_cifar10"], facts["pytorchcv/resnet56_cifar10"]
    per_block = [(large[key] - small[key]) // 6 for key in ("params", "macs_incl_matmul")]
    pairs = zip((small["params"], small["macs_incl_matmul"]), per_block, PROJECTIONS, strict=True)
    return tuple(figure + (blocks - 3) * each - dropped for figure, each, dropped in pairs)


@pytest.mark.parametrize("name", models.names())
def test_parameters_and_macs_are_those_declared_and_those_of_the_reference(name, facts):
    spec = models.get(name)
    counts = count(on_meta(name), (1, *spec.input_shape))
    assert (counts.params, counts.macs) == (spec.params, spec.macs)
    assert (counts.params, counts.macs) == expected_counts(spec.reference, facts)


@pytest.mark.parametrize("name", models.names())
def test_keys_and_shapes_are_those_of_the_reference_in_order(name, reference):
    spec = models.get(name)
    expected = read_keys(reference, spec.reference)
    if spec.reference.startswith(OPTION_A):
        assert expected is None  # a key file that appears one day must be used
        depth = int(spec.reference.removeprefix(OPTION_A))
        with torch.device("meta"):
            projected = entries(CifarResNet(depth, 10, project))
        expected = [entry for entry in projected if ".downsample." not in entry.key]
    assert entries(on_meta(name)) == expected


GOLDEN = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW_GOLDEN else [])
    for name in models.names()
    if not models.get(name).reference.startswith(OPTION_A)
]


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_logits_are_those_of_the_reference(name, golden):
    spec = models.get(name)
    module = spec.build()
    assert deviation(fill(module, entries(module)), golden[spec.reference]) < TOLERANCE


@pytest.mark.parametrize("depth", [20, 56, 110])
def test_golden_logits_of_cifar_resnets_with_projections_are_those_of_pytorchcv(depth, golden, reference):
    name = f"pytorchcv/resnet{depth}_cifar10"
    keys = read_keys(reference, name)
    assert deviation(fill(CifarResNet(depth, 10, project), keys), golden[name]) < TOLERANCE


@pytest.mark.parametrize("name", models.names())
def test_every_model_takes_another_class_count_and_batch(name):
    spec = models.get(name)
    with torch.device("meta"), torch.no_grad():
        logits = spec.build(num_classes=7).eval()(torch.zeros(2, *spec.input_shape))
    assert logits.shape == (2, 7)


@pytest.mark.parametrize("name", models.names())
def test_every_model_names_its_paper_and_weights_have_a_hash_and_an_origin(name):
    spec = models.get(name)
    assert spec.paper
    for weights in spec.weights:
        assert len(weights.sha256) >= 8
        assert set(weights.sha256) <= set("0123456789abcdef")
        assert weights.source
    assert len({weights.name for weights in spec.weights}) == len(spec.weights)
