"""CondenseNet's selections of channels in the file: zeros in weights, where that is the same."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import pytest
import torch
from tflite_conformance.execute import distances, emit_proto, run_emitted, stored_inputs
from tflite_conformance.net import Net
from tflite_conformance.quantized import to_qdq

from edgekit.models.condensenet import condensenet74_c4_g4, convert
from edgekit.passes import simplify
from edgekit.target import EmitOptions, Emitted, targets
from edgekit.targets.tflite.delegate import delegation
from edgekit.trace import trace

CHANNELS, OUTPUTS, GROUPS = 8, 12, 2
INDEX = (7, 1, 4, 6, 3, 0, 1, 7)
"""Channels 1 and 7 are given to both groups, 2 and 5 to none."""


def numbers(index: Sequence[int]) -> np.ndarray:
    """A factor per selected channel that belongs to the channel."""
    return 0.5 + np.array(index) / CHANNELS


def condensed(net: Net, index: Sequence[int] = INDEX, factors: np.ndarray | None = None, shuffled: bool = True) -> str:
    """Selection, norm, ReLU, grouped 1x1, shuffle, norm, ReLU, 3x3."""
    selected = net.op("Gather", net.op("Relu", net.input(1, CHANNELS, 4, 5)), net.integers(*index), axis=1)
    scale = (numbers(index) if factors is None else factors).reshape(-1, 1, 1, 1)
    offset = -0.2 * numbers(index)
    norm = net.op("Conv", selected, net.constant(scale), net.constant(offset), group=len(index))
    made = net.conv(net.op("Relu", norm), len(index), OUTPUTS, group=GROUPS)
    if shuffled:
        split = net.reshape(made, 1, GROUPS, OUTPUTS // GROUPS, 4, 5)
        made = net.reshape(net.op("Transpose", split, perm=[0, 2, 1, 3, 4]), 1, OUTPUTS, 4, 5)
    return net.conv(net.op("Relu", made), OUTPUTS, 4, 3, group=GROUPS)


def emitted_as(net: Net, output: str, dtype: str) -> Emitted:
    """The file; it computes what ONNX Runtime computes."""
    model = net.model(output)
    if dtype == "int8":
        model = to_qdq(model, net.feeds, dtype)
    emitted = emit_proto(model, "tflite-int8" if dtype == "int8" else "tflite-fp32")
    outputs = run_emitted(emitted, stored_inputs(emitted, net.feeds), True)
    limit = 1 if dtype == "int8" else 1e-5
    assert all(distance <= limit for _, distance in distances(emitted, outputs, model, net.feeds))
    return emitted


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("shuffled", [True, False])
def test_a_selection_in_front_of_groups_is_gone_with_its_shuffle(dtype: str, shuffled: bool) -> None:
    net = Net()
    emitted = emitted_as(net, condensed(net, shuffled=shuffled), dtype)
    assert not {"GATHER", "TRANSPOSE"} & set(emitted.operators)
    assert delegation(emitted).partitions == 1


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_without_a_norm_the_groups_read_the_channels_where_they_are(dtype: str) -> None:
    net = Net()
    selected = net.op("Gather", net.op("Relu", net.input(1, CHANNELS, 4, 5)), net.integers(*INDEX), axis=1)
    emitted = emitted_as(net, net.conv(selected, len(INDEX), OUTPUTS, group=GROUPS), dtype)
    assert "GATHER" not in emitted.operators


def read_elsewhere(net: Net) -> str:
    selected = net.op("Gather", net.op("Relu", net.input(1, CHANNELS, 4, 5)), net.integers(*INDEX), axis=1)
    return net.op("Add", net.conv(selected, len(INDEX), len(INDEX), group=GROUPS), selected)


SKIPPED = {
    "a channel with two factors": lambda net: condensed(net, factors=np.linspace(0.5, 1, len(INDEX))),
    "a channel twice in one group": lambda net: condensed(net, (1, 1, 4, 6, 3, 0, 2, 7)),
    "a selection that something else reads": read_elsewhere,
}


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("name", SKIPPED)
def test_what_stays_a_selection(name: str, dtype: str) -> None:
    net = Net()
    assert {"GATHER", "CONCATENATION"} & set(emitted_as(net, SKIPPED[name](net), dtype).operators)


def test_a_network_that_has_condensed_is_one_partition_without_selections_and_shuffles() -> None:
    torch.manual_seed(0)
    network = condensenet74_c4_g4(num_classes=10, form="training", cifar_depth=50)
    network(torch.randn(8, 3, 32, 32))  # statistics of its norms
    network.condense(1.0)
    model = simplify(trace(convert(network), (1, 3, 32, 32)))
    assert sum(node.op_type == "Gather" for node in model.graph) == 24  # the classifier's is in its weights
    target = targets.get("tflite-fp32")
    emitted = target.emit(model, target, EmitOptions())
    assert not {"GATHER", "TRANSPOSE"} & set(emitted.operators)
    assert delegation(emitted).partitions == 1
    feeds = {str(model.graph.inputs[0].name): np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)}
    outputs = run_emitted(emitted, stored_inputs(emitted, feeds), True)
    assert all(distance <= 1e-5 for _, distance in distances(emitted, outputs, ir.to_proto(model), feeds))
