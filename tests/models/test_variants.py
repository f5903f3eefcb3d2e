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


def on_meta(name):
    with torch.device("meta"):
        return VARIANTS[name]()


def squeezed(shape):
    """timm writes MobileNetV3's hidden layer as a 1x1 convolution, the others as a linear layer."""
    return shape[:2] if shape[2:] == (1, 1) else shape


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_costs_what_its_reference_costs(name, facts):
    module = on_meta(name)
    pixels = facts[name]["resolution"]
    counts = count(module, (1, 3, pixels, pixels))
    assert (counts.params, counts.macs) == (facts[name]["params"], facts[name]["macs_incl_matmul"])
    assert len(entries(module)) == facts[name]["n_tensors"]


@pytest.mark.parametrize("name", VARIANTS)
def test_the_norms_of_a_variant_are_those_of_its_reference(name, facts):
    norms = [layer for layer in on_meta(name).modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {f"eps={norm.eps:g}" for norm in norms} == {config.split()[0] for config in facts[name]["bn_cfg"]}
    assert sum(2 * norm.num_features for norm in norms) == facts[name]["params_bn_affine"]


@pytest.mark.parametrize("name", sorted(VARIANTS.keys() - SHAPES_ONLY))
def test_a_variant_has_the_tensors_of_its_reference_in_order(name, reference):
    ours, theirs = entries(on_meta(name)), read_keys(reference, name)
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
    assert deviation(fill(build(), read_keys(reference, name)), golden[name]) > 0.05


CORNERS = {"0.5_192", "0.25_128", "1.3_224", "1.4_160", "0.35_96"}
"""Points of the grids far from the variants above, for a quick look."""

CHOICES = [
    pytest.param(CORNERS.__contains__, id="corners"),
    pytest.param(lambda point: True, marks=pytest.mark.slow, id="every"),
]


@pytest.mark.parametrize("chosen", CHOICES)
def test_v1_costs_what_the_grid_of_widths_and_resolutions_says(chosen, grids):
    points = {point: cost for point, cost in grids["mobilenetv1_grid"].items() if chosen(point)}
    assert len(points) in (2, 16)
    for point, expected in points.items():
        alpha, pixels = point.split("_")
        with torch.device("meta"):
            module = mobilenet_v1(alpha=float(alpha), rho=int(pixels) / 224)
        height, width = module.input_size or (224, 224)
        counts = count(module, (1, 3, height, width))
        assert (height, width, counts.params, counts.macs) == (int(pixels), int(pixels), *expected), point


@pytest.mark.parametrize("chosen", CHOICES)
def test_v2_costs_what_the_grid_of_widths_and_resolutions_says(chosen, grids):
    points = {point: cost for point, cost in grids["mobilenetv2_grid"].items() if chosen(point)}
    assert len(points) in (4, 30)
    for point, expected in points.items():
        width, pixels = point.split("_")
        with torch.device("meta"):
            module = mobilenet_v2(width=float(width))
        counts = count(module, (1, 3, int(pixels), int(pixels)))
        assert [counts.params, counts.macs] == expected, point


def parameters(build, width):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(width=width).parameters())


@pytest.mark.parametrize(("build", "head"), [(mobilenet_v3_large, 1280), (mobilenet_v3_small, 1024)])
@pytest.mark.parametrize("width", [0.35, 0.5, 0.75])
def test_v3_narrower_than_1_keeps_the_head_that_torchvision_scales(build, head, width, grids):
    with torch.device("meta"):
        assert build(width=width).classifier[0].out_features == head
    scaled, _ = grids["mobilenetv3_grid"][f"{build.__name__.rpartition('_')[2]}_{width}"]
    assert parameters(build, width) > scaled


def test_v3_wider_than_1_scales_its_head():
    assert mobilenet_v3_small(width=1.25).classifier[0].out_features == 1280


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
