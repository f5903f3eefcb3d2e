"""Xception's blocks."""

import pytest
import torch
from golden_vectors import TOLERANCE, deviation, fill, read_keys

from edgekit.models.xception import Block
from edgekit.registry import models


def test_the_shortcut_reads_what_no_relu_has_touched():
    block = Block(4, 4, 4).eval()
    for layer in block.rep:
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.zeros_(layer.weight)
    x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    with torch.no_grad():
        assert torch.equal(block(x), before)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", ["pretrainedmodels/xception", "pytorchcv/xception"])
def test_the_other_ports_are_the_same_network(name, reference, golden):
    assert deviation(fill(models.get("xception").build(), read_keys(reference, name)), golden[name]) < TOLERANCE


def test_the_smallest_input_is_the_smallest_that_works():
    spec = models.get("xception")
    with torch.device("meta"), torch.no_grad():
        module = spec.build().eval()
        assert module(torch.zeros(1, 3, spec.min_input, spec.min_input)).shape == (1, 1000)
        with pytest.raises(RuntimeError):
            module(torch.zeros(1, 3, spec.min_input - 1, spec.min_input - 1))
