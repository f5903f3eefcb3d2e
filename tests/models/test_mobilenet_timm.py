"""MobileNet V2 and V3 in timm's layout: torchvision's networks, with padding and epsilon of their own."""

import pytest
import torch
from golden_vectors import TOLERANCE, deviation, fill, read_keys
from torch import nn
from traces import read_trace, recorded

from edgekit.models import mobilenet_v3 as v3
from edgekit.models._inverted import Style
from edgekit.models.mobilenet_timm import build_v2, build_v3
from edgekit.models.mobilenet_v2 import mobilenet_v2
from edgekit.registry import models
from edgekit.source.weights import load_weights

TORCHVISION = Style(eps=1e-3, gate=nn.Hardsigmoid)
TRACED = ("tf_mobilenetv3_large_100", "tf_mobilenetv3_small_100", "tf_mobilenetv3_large_minimal_100", "mobilenetv2_140")


@pytest.mark.parametrize("name", TRACED)
def test_every_operation_is_the_references_with_its_stride_padding_and_epsilon(name, reference):
    spec = models.get(name)
    with torch.device("meta"):
        module = spec.build()
    assert recorded(module, 224) == read_trace(reference, spec.reference)


@pytest.mark.parametrize(
    ("name", "rows", "head"), [("large", v3.LARGE, v3.LARGE_HEAD), ("small", v3.SMALL, v3.SMALL_HEAD)]
)
def test_with_torchvisions_style_it_is_torchvisions_network(name, rows, head, golden, reference):
    reference_name = f"torchvision/mobilenet_v3_{name}"
    module = build_v3(1000, rows, head, 1.0, TORCHVISION)
    assert deviation(fill(module, read_keys(reference, reference_name)), golden[reference_name]) < TOLERANCE


PAIRS = {
    "v2 0.5": (lambda: build_v2(7, 0.5), lambda: mobilenet_v2(7, width=0.5)),
    "v2 1.4": (lambda: build_v2(7, 1.4), lambda: mobilenet_v2(7, width=1.4)),
    "small 0.5": (
        lambda: build_v3(7, v3.SMALL, 1024, 0.5, Style(gate=nn.Hardsigmoid)),
        lambda: v3.mobilenet_v3_small(7, width=0.5),
    ),
    "large 0.75": (
        lambda: build_v3(7, v3.LARGE, 1280, 0.75, Style(gate=nn.Hardsigmoid)),
        lambda: v3.mobilenet_v3_large(7, width=0.75),
    ),
    "small minimal": (
        lambda: build_v3(7, v3.SMALL, 1024, 1.0, Style(), minimal=True),
        lambda: v3.mobilenet_v3_small(7, minimal=True),
    ),
    "large minimal": (
        lambda: build_v3(7, v3.LARGE, 1280, 1.0, Style(), minimal=True),
        lambda: v3.mobilenet_v3_large(7, minimal=True),
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_file_of_timm_gives_the_same_logits_in_torchvisions_layout(pair):
    torch.manual_seed(0)
    source, target = (build().eval() for build in PAIRS[pair])
    load_weights(target, source.state_dict(), "mobilenet.pth")
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(target(x), source(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", ["large", "small"])
def test_the_minimalistic_form_is_as_large_as_tensorflows(size):
    port = models.get(f"tf_mobilenetv3_{size}_minimal_100")
    with torch.device("meta"):
        module = models.get(f"mobilenet_v3_{size}").build(minimal=True)
    assert sum(parameter.numel() for parameter in module.parameters()) == port.params
    kinds = {type(part) for part in module.modules()}
    assert not kinds & {nn.Hardswish, nn.Hardsigmoid, v3.SqueezeExcite}
    assert {part.kernel_size for part in module.modules() if isinstance(part, nn.Conv2d)} == {(1, 1), (3, 3)}
