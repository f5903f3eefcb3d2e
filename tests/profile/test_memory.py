"""Memory of a graph against arithmetic by hand, and against what eager execution holds at its worst."""

import json
import math

import pytest
from torch import nn

from edgekit.passes import simplify
from edgekit.profile import memory
from edgekit.registry import models
from edgekit.trace import trace

FLOAT = 4


def of(module, *shape):
    return memory(simplify(trace(module.eval(), shape)))


def test_input_and_output_of_an_operator_are_alive_together():
    found = of(nn.Conv2d(3, 8, 3, padding=1), 1, 3, 10, 10)
    assert found.peak_activations_bytes == FLOAT * (3 + 8) * 100
    assert found.weights_bytes == FLOAT * (8 * 3 * 9 + 8)


def test_a_buffer_is_freed_after_its_last_use_and_an_activation_works_in_place():
    net = nn.Sequential(nn.Conv2d(1, 8, 1), nn.ReLU(), nn.Conv2d(8, 2, 1), nn.Sigmoid(), nn.Conv2d(2, 1, 1))
    assert of(net, 1, 1, 10, 10).peak_activations_bytes == FLOAT * (8 + 2) * 100


def test_a_shortcut_stays_alive_beside_the_branch():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.widen, self.narrow = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            y = self.first(x)
            return y + self.narrow(self.widen(y).sin())

    # The shortcut, the wide map and its sine, which is not computed in place.
    assert of(Residual(), 1, 1, 10, 10).peak_activations_bytes == FLOAT * (4 + 8 + 8) * 100


def test_a_reshape_takes_no_memory():
    assert of(nn.Sequential(nn.Flatten(), nn.Linear(16, 4)), 1, 1, 4, 4).peak_activations_bytes == FLOAT * (16 + 4)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "mobilenet_v3_small"])
def test_a_network_needs_no_more_than_eager_execution_and_no_less_than_its_widest_operator(name, reference):
    eager = json.loads((reference / "memory.json").read_text())[f"torchvision/{name}"]
    graph = simplify(trace(models.get(name).build().eval(), (1, 3, 224, 224)))
    widest = max(
        sum(FLOAT * math.prod(value.shape.numpy()) for value in (node.inputs[0], *node.outputs))
        for node in graph.graph
        if node.op_type in ("Conv", "MaxPool")
    )
    assert widest <= memory(graph).peak_activations_bytes <= eager["peak_eager_bytes"]
