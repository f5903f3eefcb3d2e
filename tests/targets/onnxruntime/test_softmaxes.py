"""Softmaxes inside of integer graphs."""

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.graph.runner import GraphRunner
from edgekit.passes import prepare_integer, simplify
from edgekit.quant import calibrate, quantize
from edgekit.target import EmitOptions, targets
from edgekit.trace import trace
from edgekit.verify.parity import measure_sqnr_db

IMAGES = np.random.default_rng(5).uniform(-1, 1, (8, 3, 16, 16)).astype(np.float32)
INT8 = targets.get("ort-int8")


class Weighed(nn.Module):
    """Shares of twelve channels that a layer reads; with little sharpness each is far from 1."""

    def __init__(self, sharpness: float):
        super().__init__()
        self.conv, self.sharpness, self.head = nn.Conv2d(3, 12, 3), sharpness, nn.Conv2d(12, 4, 1)

    def forward(self, x):
        return self.head((self.sharpness * self.conv(x)).softmax(1))


@pytest.mark.parametrize(("sharpness", "written_out"), [(0.5, True), (30.0, False)])
def test_the_file_gives_what_the_graph_says(sharpness, written_out):
    torch.manual_seed(0)
    graph = prepare_integer(simplify(trace(Weighed(sharpness).eval(), (1, 3, 16, 16))))
    quantized = quantize(graph, calibrate(graph, [IMAGES]), INT8.scheme)
    emitted = INT8.emit(quantized, INT8, EmitOptions())
    assert ("Softmax" not in emitted.operators) is written_out
    given, wanted = INT8.run(emitted.data)(IMAGES), GraphRunner(quantized)(IMAGES)
    [name] = wanted
    assert measure_sqnr_db(wanted[name], given[name]) > 30


def test_what_is_not_stored_stays_a_softmax():
    graph = simplify(trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softmax(1)).eval(), (1, 3, 8, 8)))
    float32 = targets.get("ort-fp32")
    assert float32.emit(graph, float32, EmitOptions()).operators["Softmax"] == 1
