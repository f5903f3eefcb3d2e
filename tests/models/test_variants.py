"""Widths, resolutions and activations against the references that have them, and options that make no network."""

import pytest
import torch
from golden_vectors import TOLERANCE, deviation, entries, fill, read_keys
from torch import nn

from edgekit.models.mobilenet_v1 import mobilenet_v1
from edgekit.models.mobilenet_v2 import mobilenet_v2
from edgekit.models.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from edgekit.models.resnet import CifarResNet, project
from edgekit.profile import count

TIMM_EPS = 1e-5


def with_eps(module, eps):
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = eps
    return module


def with_timm_eps(build, **options):
    return lambda: with_eps(build(**options), TIMM_EPS)


VARIANTS = {
    "timm/mobilenetv1_100": mobilenet_v1,
    "pytorchcv/mobilenet_w1": lambda: mobilenet_v1(activation="relu"),
    "pytorchcv/mobilenet_w3d4": lambda: mobilenet_v1(alpha=0.75, activation="relu"),
    "pytorchcv/mobilenet_wd2": lambda: mobilenet_v1(alpha=0.5, activation="relu"),
    "pytorchcv/mobilenet_wd4": lambda: mobilenet_v1(alpha=0.25, activation="relu"),
    "timm/mobilenetv2_035": lambda: mobilenet_v2(width=0.35),
    "timm/mobilenetv2_050": lambda: mobilenet_v2(width=0.5),
    "timm/mobilenetv2_075": lambda: mobilenet_v2(width=0.75),
    "timm/mobilenetv2_100": mobilenet_v2,
    "timm/mobilenetv2_140": lambda: mobilenet_v2(width=1.4),
    "timm/mobilenetv3_small_050": with_timm_eps(mobilenet_v3_small, width=0.5),
    "timm/mobilenetv3_small_075": with_timm_eps(mobilenet_v3_small, width=0.75),
    "timm/mobilenetv3_small_100": with_timm_eps(mobilenet_v3_small),
    "timm/mobilenetv3_large_075": with_timm_eps(mobilenet_v3_large, width=0.75),
    "timm/mobilenetv3_large_100": with_timm_eps(mobilenet_v3_large),
    "pytorchcv/resnet20_cifar10": lambda: CifarResNet(20, 10, project),
    "pytorchcv/resnet56_cifar10": lambda: CifarResNet(56, 10, project),
    "pytorchcv/resnet110_cifar10": lambda: CifarResNet(110, 10, project),
}
"""Reference -> the same network from our options. The key names may differ, the order of the tensors may not."""

SHAPES_ONLY = {
    "timm/mobilenetv2_035",
    "timm/mobilenetv2_050",
    "timm/mobilenetv2_075",
    "timm/mobilenetv3_small_050",
    "timm/mobilenetv3_small_075",
    "timm/mobilenetv3_large_075",
}
"""No list of keys and no golden vectors exist of these."""


def squeezed(shape):
    """timm writes MobileNetV3's hidden layer as a 1x1 convolution, the others as a linear layer."""
    return shape[:2] if shape[2:] == (1, 1) else shape


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_costs_what_its_reference_costs(name, facts):
    with torch.device("meta"):
        module = VARIANTS[name]()
    pixels = facts[name]["resolution"]
    counts = count(module, (1, 3, pixels, pixels))
    assert (counts.params, counts.macs) == (facts[name]["params"], facts[name]["macs_incl_matmul"])
    assert len(entries(module)) == facts[name]["n_tensors"]


@pytest.mark.parametrize("name", VARIANTS)
def test_the_norms_of_a_variant_are_those_of_its_reference(name, facts):
    norms = [layer for layer in VARIANTS[name]().modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {f"eps={norm.eps:g}" for norm in norms} == {config.split()[0] for config in facts[name]["bn_cfg"]}
    assert sum(2 * norm.num_features for norm in norms) == facts[name]["params_bn_affine"]


@pytest.mark.parametrize("name", sorted(VARIANTS.keys() - SHAPES_ONLY))
def test_a_variant_has_the_tensors_of_its_reference_in_order(name, reference):
    ours, theirs = entries(VARIANTS[name]()), read_keys(reference, name)
    assert [squeezed(entry.shape) for entry in ours] == [squeezed(entry.shape) for entry in theirs]
    assert [entry.key.rpartition(".")[2] for entry in ours] == [entry.key.rpartition(".")[2] for entry in theirs]


@pytest.mark.parametrize("name", sorted(VARIANTS.keys() - SHAPES_ONLY))
def test_a_variant_gives_the_golden_logits_of_its_reference(name, reference, golden):
    assert deviation(fill(VARIANTS[name](), read_keys(reference, name)), golden[name]) < TOLERANCE


@pytest.mark.parametrize("name", sorted(SHAPES_ONLY))
def test_what_is_compared_by_shape_alone_has_nothing_better(name, reference, golden):
    assert name not in golden
    assert read_keys(reference, name) is None


@pytest.mark.parametrize("build", [mobilenet_v3_large, mobilenet_v3_small])
def test_the_wrong_epsilon_shows_in_the_golden_logits(build, reference, golden):
    name = f"timm/{build.__name__.replace('_v3', 'v3')}_100"
    wrong = fill(build(), read_keys(reference, name))
    with pytest.raises(AssertionError):
        assert deviation(wrong, golden[name]) < 100 * TOLERANCE


def test_v1_costs_what_the_grid_of_widths_and_resolutions_says(grids):
    assert len(grids["mobilenetv1_grid"]) == 16
    for point, expected in grids["mobilenetv1_grid"].items():
        alpha, pixels = point.split("_")
        with torch.device("meta"):
            module = mobilenet_v1(alpha=float(alpha), rho=int(pixels) / 224)
        height, width = module.input_size or (224, 224)
        counts = count(module, (1, 3, height, width))
        assert (height, width, counts.params, counts.macs) == (int(pixels), int(pixels), *expected), point


def test_v2_costs_what_the_grid_of_widths_and_resolutions_says(grids):
    assert len(grids["mobilenetv2_grid"]) == 30
    modules = {}
    for point, expected in grids["mobilenetv2_grid"].items():
        width, pixels = point.split("_")
        with torch.device("meta"):
            module = modules.setdefault(width, None) or mobilenet_v2(width=float(width))
        modules[width] = module
        counts = count(module, (1, 3, int(pixels), int(pixels)))
        assert [counts.params, counts.macs] == expected, point


def test_v3_narrower_than_1_keeps_its_head_unlike_torchvision(grids):
    for size, build, head in (("large", mobilenet_v3_large, 1280), ("small", mobilenet_v3_small, 1024)):
        for width in (0.35, 0.5, 0.75):
            with torch.device("meta"):
                module = build(width=width)
            assert module.classifier[0].out_features == head
            scaled_head, _ = grids["mobilenetv3_grid"][f"{size}_{width}"]
            assert count(module, (1, 3, 224, 224)).params > scaled_head
        with torch.device("meta"):
            counts = count(build(), (1, 3, 224, 224))
        assert [counts.params, counts.macs] == grids["mobilenetv3_grid"][f"{size}_1.0"]


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (mobilenet_v1, {"alpha": 0}),
        (mobilenet_v1, {"rho": -1.0}),
        (mobilenet_v1, {"alpha": float("nan")}),
        (mobilenet_v1, {"activation": "swish"}),
        (mobilenet_v2, {"width": 0.0}),
        (mobilenet_v3_large, {"width": -0.5}),
        (mobilenet_v3_small, {"width": 0}),
    ],
)
def test_an_option_that_makes_no_network_is_refused_by_name(build, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build(**options)
