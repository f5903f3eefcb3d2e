"""Every model of the zoo against what it declares and against the reference that it names; none is exempt."""

import pytest
import torch
from golden_vectors import TOLERANCE, Entry, deviation, entries, fill, golden_input, read_keys
from lite import derived_counts, derived_entries

from edgekit.models.resnet import CifarResNet, project
from edgekit.profile import count
from edgekit.registry import models

SLOW_PARAMS, SLOW_MACS = 40_000_000, 5_000_000_000
"""Above these a golden run takes seconds of CPU time or a gigabyte: `-m slow`."""

OPTION_A = "akamaster/resnet"
"""References that no golden vectors exist of. Their networks are those of pytorchcv with another shortcut."""

PROJECTIONS = (16 * 32 + 32 * 64 + 2 * (32 + 64), 16 * 16 * 16 * 32 + 8 * 8 * 32 * 64)
"""Parameters and MACs of the two 1x1 shortcuts and their norms, which option A does without."""


LITE = "tensorflow/efficientnet_lite"
"""References that are measured nowhere; what they must be is derived from EfficientNet's tensors."""


def on_meta(name):
    """The model without memory: shapes only."""
    with torch.device("meta"):
        return models.get(name).build()


def expected_counts(spec, facts, folder):
    """(parameters, MACs) of a reference. Option A is measured nowhere: it is option B without its projections."""
    reference = spec.reference
    if reference.startswith(LITE):
        return derived_counts(folder, int(reference.removeprefix(LITE)), spec.input_shape[1])
    if not reference.startswith(OPTION_A):
        return facts[reference]["params"], facts[reference]["macs_incl_matmul"]
    blocks = (int(reference.removeprefix(OPTION_A)) - 2) // 6
    small, large = facts["pytorchcv/resnet20_cifar10"], facts["pytorchcv/resnet56_cifar10"]
    per_block = [(large[key] - small[key]) // 6 for key in ("params", "macs_incl_matmul")]
    pairs = zip((small["params"], small["macs_incl_matmul"]), per_block, PROJECTIONS, strict=True)
    return tuple(figure + (blocks - 3) * each - dropped for figure, each, dropped in pairs)


@pytest.mark.parametrize("name", models.names())
def test_parameters_and_macs_are_those_declared_and_those_of_the_reference(name, facts, reference):
    spec = models.get(name)
    counts = count(on_meta(name), (1, *spec.input_shape))
    assert (counts.params, counts.macs) == (spec.params, spec.macs)
    assert (counts.params, counts.macs) == expected_counts(spec, facts, reference)


def keys_in_facts(row):
    """The first and last tensors of a reference whose key file is not kept, and their count."""
    first, last = ([Entry(key, tuple(shape)) for key, shape in row[which]] for which in ("first_keys", "last_keys"))
    return first, last, row["n_tensors"]


@pytest.mark.parametrize("name", models.names())
def test_keys_and_shapes_are_those_of_the_reference_in_order(name, reference, facts):
    spec = models.get(name)
    found = entries(on_meta(name))
    expected = read_keys(reference, spec.reference)
    if expected is not None:
        assert found == expected
    elif spec.reference.startswith(LITE):  # under other names
        derived = derived_entries(reference, int(spec.reference.removeprefix(LITE)))
        assert [entry.shape for entry in found] == [entry.shape for entry in derived]
    elif spec.reference.startswith(OPTION_A):
        with torch.device("meta"):
            projected = entries(CifarResNet(int(spec.reference.removeprefix(OPTION_A)), 10, project))
        assert found == [entry for entry in projected if ".downsample." not in entry.key]
    else:
        first, last, count = keys_in_facts(facts[spec.reference])
        assert (found[: len(first)], found[-len(last) :], len(found)) == (first, last, count)


def golden_case(name):
    spec = models.get(name)
    slow = spec.params > SLOW_PARAMS or spec.macs > SLOW_MACS
    return pytest.param(name, marks=[pytest.mark.slow] if slow else [])


NOT_IN_GOLDEN = {
    name: "reference without golden vectors"
    for name in models.names()
    if models.get(name).reference.startswith(OPTION_A)
}
NOT_IN_GOLDEN |= dict.fromkeys(("vgg11", "vgg11_bn", "vgg13", "vgg13_bn"), "depth without golden vectors")
NOT_IN_GOLDEN |= {
    f"tf_efficientnet_{size}": "size without golden vectors"
    for size in ("b1", "b2", "b3", "b4", "b5", "b6", "b8", "l2")
}
NOT_IN_GOLDEN |= {f"efficientnet_lite{size}": "compared with a trained network instead" for size in range(5)}
NOT_IN_GOLDEN |= dict.fromkeys(
    (
        *("mobilenetv2_050", "mobilenetv3_small_050", "mobilenetv3_small_075"),
        *("tf_mobilenetv3_large_075", "tf_mobilenetv3_small_075", "tf_mobilenetv3_small_minimal_100"),
    ),
    "width without golden vectors",
)
NOT_IN_GOLDEN["seresnet152"] = "depth without golden vectors"
"""Models whose reference golden.json does not hold, and why.

Each is measured in another way by its family's tests, and against the reference itself where that can be installed:
tests/source/test_libraries_installed.py.
"""

CHAOTIC = (
    *("efficientnet_b5", "efficientnet_b6", "efficientnet_b7", "tf_efficientnet_b7"),
    *("seresnet50", "seresnet101", "legacy_seresnet50", "legacy_seresnet101", "legacy_seresnet152", "senet154"),
)
"""So deep that with the golden weights the rounding of float32 alone moves the logits by more than TOLERANCE.

No two machines agree on their golden logits. Their families' tests compare every layer with the reference's trace, and
tests/source/test_libraries_installed.py the logits with the reference itself in float64.
"""

GOLDEN = [golden_case(name) for name in models.names() if name not in NOT_IN_GOLDEN and name not in CHAOTIC]


def test_models_without_golden_vectors_are_those_named(golden):
    assert {name for name in models.names() if models.get(name).reference not in golden} == set(NOT_IN_GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_logits_are_those_of_the_reference(name, golden):
    spec = models.get(name)
    module = spec.build()
    assert deviation(fill(module, entries(module)), golden[spec.reference]) < TOLERANCE


@pytest.mark.parametrize("name", [golden_case(name) for name in CHAOTIC])
def test_float32_cannot_hold_the_golden_logits_of_those_left_out(name, golden):
    spec = models.get(name)
    module = spec.build()
    fill(module, entries(module))
    image = golden_input(golden[spec.reference]["res"])
    with torch.inference_mode():
        single = module(image)[0].double()
        double = module.double()(image.double())[0]
    assert (single - double).abs().max() / double.std() > TOLERANCE


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
