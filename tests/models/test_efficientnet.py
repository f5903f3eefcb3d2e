"""EfficientNet: compound scaling, the two layouts, and what tells TensorFlow's ports from torchvision's networks."""

import pytest
import torch
from golden_vectors import TOLERANCE, deviation, entries, fill, golden_input, read_keys
from torch.nn import functional as F
from traces import read_trace, recorded

from edgekit.models import _efficientnet as table
from edgekit.models._efficientnet import B0, Scaling, compound_scaling, search_coefficients
from edgekit.models._inverted import InvertedResidualNet, SamePadConv2d, Style
from edgekit.models.efficientnet import EfficientNet, efficientnet
from edgekit.models.tf_efficientnet import build, scale_stages, silu
from edgekit.profile import count
from edgekit.registry import models
from edgekit.source.weights import load_weights

SIZES = ("b0", "b1", "b2", "b3", "b4")
"""Those of torchvision with epsilon 1e-5, whose golden logits any build of torch gives."""


def ported(size, style):
    """TensorFlow's layout of a size, with another padding and epsilon."""
    scaling = getattr(table, size.upper())
    stem, last = (table.make_divisible(channels * scaling.width) for channels in (table.STEM, table.LAST))
    return InvertedResidualNet(1000, stem, scale_stages(scaling), last, style, silu)


@pytest.mark.parametrize("size", SIZES)
def test_a_port_without_its_padding_and_epsilon_is_torchvisions_network(size, golden, reference):
    name = f"torchvision/efficientnet_{size}"
    style = Style(squeezed_activation=silu)
    assert deviation(fill(ported(size, style), read_keys(reference, name)), golden[name]) < TOLERANCE


TRACED = ["efficientnet_b0", *(f"efficientnet_b{size}" for size in range(4, 8))]
TRACED += [f"tf_efficientnet_{size}" for size in ("b0", "b7", "l2")]


@pytest.mark.parametrize("name", TRACED)
def test_every_operation_is_the_references_with_its_stride_padding_and_epsilon(name, reference):
    spec = models.get(name)
    with torch.device("meta"):
        module = spec.build()
    assert recorded(module, spec.input_shape[1]) == read_trace(reference, spec.reference)


@pytest.mark.slow
def test_golden_logits_of_the_largest_are_lost_in_rounding():
    """B5 with every weight off by about half a unit in the last place gives other logits; B4 does not."""
    moved = {name: moved_by_rounding(name) for name in ("efficientnet_b4", "efficientnet_b5")}
    assert moved["efficientnet_b4"] < TOLERANCE
    assert moved["efficientnet_b5"] > 1000 * TOLERANCE


def moved_by_rounding(name):
    spec = models.get(name)
    module, image = spec.build(), golden_input(spec.input_shape[1])
    fill(module, entries(module))
    torch.manual_seed(0)
    with torch.inference_mode():
        before = module(image)
        for tensor in module.parameters():
            tensor *= 1 + 6e-8 * torch.randn_like(tensor)
        return float((module(image) - before).abs().max() / before.std())


def test_padding_alone_moves_the_logits(golden, reference):
    """By 12 % of their deviation at the worst of the thousand, of which a dozen figures are kept."""
    name = "torchvision/efficientnet_b0"
    style = Style(same_padding=True, eps=1e-5, squeezed_activation=silu)
    assert 0.05 < deviation(fill(ported("b0", style), read_keys(reference, name)), golden[name]) < 0.13


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [7, 8, 224, 75])
def test_same_padding_puts_the_odd_pixel_to_the_right_and_below(kernel, size):
    convolution = SamePadConv2d(1, 1, kernel, 2, bias=False)
    x = torch.arange(float(size**2)).view(1, 1, size, size)
    total = (-(-size // 2) - 1) * 2 + kernel - size
    before = total // 2
    padded = F.pad(x, (before, total - before) * 2)
    assert convolution(x).shape[2:] == (-(-size // 2),) * 2
    assert torch.equal(convolution(x), F.conv2d(padded, convolution.weight, stride=2))


def test_squeezed_widths_come_from_what_enters_a_block_and_are_not_rounded():
    squeezed = [row.squeezed for stage in scale_stages(B0) for row in stage]
    assert squeezed == [8, 4, 6, 6, 10, 10, 20, 20, 20, 28, 28, 28, 48, 48, 48, 48]
    widths = [module.fc1.out_channels for module in on_meta(B0).modules() if hasattr(module, "fc1")]
    assert widths == squeezed


def on_meta(scaling):
    with torch.device("meta"):
        return EfficientNet(1000, scaling)


def macs(**changed):
    scaling = Scaling(**changed)
    return count(on_meta(scaling), (1, 3, scaling.pixels, scaling.pixels)).macs


def test_macs_grow_with_depth_and_with_the_squares_of_width_and_resolution():
    base = macs()
    assert macs(depth=2.0) / base == pytest.approx(2, rel=0.1)
    assert macs(width=2.0) / base == pytest.approx(4, rel=0.1)
    assert macs(pixels=448) / base == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize("phi", [1, 2, 3, 4])
def test_a_compound_coefficient_about_doubles_the_macs(phi):
    """A little more, for a stage's blocks are rounded up."""
    with torch.device("meta"):
        module = efficientnet(phi=phi)
    side = module.input_size[0]
    assert side == round(224 * 1.15**phi)
    expected = (1.2 * 1.1**2 * 1.15**2) ** phi
    assert 1 < count(module, (1, 3, side, side)).macs / macs() / expected < 1.4


def test_phi_0_is_b0_and_any_phi_builds():
    assert compound_scaling(0) == B0
    assert efficientnet(7, phi=-2).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize("option", ["alpha", "beta", "gamma"])
def test_a_multiplier_that_makes_no_network_is_refused_by_name(option):
    with pytest.raises(ValueError, match=option):
        efficientnet(**{option: 0})


def test_the_search_finds_the_papers_coefficients_and_only_ones_on_the_constraint():
    found = list(search_coefficients())
    assert (1.2, 1.1, 1.15) in found
    assert all(min(each) >= 1 and abs(each[0] * each[1] ** 2 * each[2] ** 2 - 2) <= 0.1 for each in found)
    assert (2.0, 1.0, 1.0) in found


def test_published_sizes_cost_what_the_paper_says():
    paper = {"b0": (5.3, 0.39), "b1": (7.8, 0.70), "b2": (9.2, 1.0), "b3": (12, 1.8), "b4": (19, 4.2)}
    paper |= {"b5": (30, 9.9), "b6": (43, 19), "b7": (66, 37)}
    for size, (millions, billions) in paper.items():
        spec = models.get(f"efficientnet_{size}")
        assert spec.params / 1e6 == pytest.approx(millions, rel=0.03)
        assert spec.macs / 1e9 == pytest.approx(billions, rel=0.05)


def test_a_timm_file_loads_into_torchvisions_layout_and_a_port_into_neither(tmp_path):
    source, target = ported("b0", Style(squeezed_activation=silu)).eval(), models.get("efficientnet_b0").build().eval()
    load_weights(target, source.state_dict(), "efficientnet_b0_ra-3dd342df.pth")
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(source(x), target(x), atol=1e-6)
    with pytest.raises(Exception, match="does not fit"):
        load_weights(target, source.state_dict(), "tf_efficientnet_b0-0af12548.pth")


def test_every_port_has_its_epsilon_and_five_places_of_odd_padding_are_symmetric_elsewhere():
    module = build(1000, B0)
    assert sum(isinstance(part, SamePadConv2d) for part in module.modules()) == 5
    assert {part.eps for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)} == {1e-3}


def test_stochastic_depth_drops_samples_in_training_only():
    torch.manual_seed(0)
    module = ported("b0", Style(squeezed_activation=silu))
    rows = [block.drop for stage in module.blocks for block in stage]
    assert rows == sorted(rows)
    assert rows[0] == 0 < rows[-1] < 0.2
    block = next(block for stage in module.blocks for block in stage if block.added)
    block.drop = 1 - 1e-9
    x = torch.rand(8, block.conv_pw.in_channels, 4, 4)
    assert torch.equal(block.train()(x), x)
    assert not torch.equal(block.eval()(x), x)


def test_keys_of_the_two_layouts_hold_the_same_tensors_in_the_same_order():
    shapes = [[entry.shape for entry in entries(module)] for module in (on_meta(B0), build(1000, B0))]
    assert shapes[0] == shapes[1]
