"""A trial gives what the quantized graph gives, for every criterion, from one session."""

import numpy as np
import pytest

from edgekit.graph.runner import GraphRunner
from edgekit.quant import calibrate, quantize
from edgekit.quant.clipping import CRITERIA
from edgekit.quant.trial import Trial
from edgekit.target import QuantScheme

RNG = np.random.default_rng(0)
WEIGHT, OTHER, BIAS = RNG.normal(0, 0.5, (4, 4, 3, 3)), RNG.normal(0, 3.0, (4, 4, 1, 1)), RNG.normal(0, 1, 4)
# Concat's parts have scales of their own, so one of its operands is stored twice.
NET = "a = Conv(x, w, b) r = Relu(a) c = Conv(r, v, b) s = Sigmoid(c) m = Mul(s, r) y = Concat <axis = 1> (m, c)"


@pytest.fixture(scope="module")
def made(graph, images):
    net = graph(NET, w=WEIGHT, v=OTHER, b=BIAS)
    heavy = images * np.random.default_rng(1).exponential(1.0, images.shape).astype(np.float32)
    return net, calibrate(net, [heavy]), heavy


@pytest.mark.parametrize("keep_float", [(), ("n_s",)])
def test_a_trial_gives_what_the_quantized_graph_gives(made, keep_float):
    net, ranges, images = made
    trial, seen = Trial(net, ranges, keep_float), []
    for criterion in CRITERIA:
        written = quantize(net, ranges, QuantScheme("int8", "int8"), keep_float, criterion)
        expected = GraphRunner(written)(images)["y"]
        found = trial(images, criterion)["y"]
        # A bias is stored in steps of its layer's scale: the trial keeps those of the first criterion.
        assert np.mean(found != expected) < 0.01
        seen.append(found)
    assert len({one.tobytes() for one in seen}) > 1


def test_the_graph_is_not_changed(made):
    net, ranges, _ = made
    before = [node.name for node in net.graph], [value.name for value in net.graph.inputs], list(net.graph.initializers)
    Trial(net, ranges, ())
    after = [node.name for node in net.graph], [value.name for value in net.graph.inputs], list(net.graph.initializers)
    assert after == before
