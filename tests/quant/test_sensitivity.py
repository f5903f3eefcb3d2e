"""The value that hurts most for its time comes first, and keeping it in float helps as much as the ranking says."""

import numpy as np
import pytest

from edgekit.graph.outputs import relative_noise
from edgekit.quant.layers import constant_layers
from edgekit.quant.method import Method, keeping
from edgekit.quant.plan import make_plan
from edgekit.quant.quantizer import Quantizer
from edgekit.quant.sensitivity import LEAST_GAIN, lost_us, nodes_of, rank
from edgekit.target import QuantScheme

INT8 = QuantScheme("int8", "int8")
RNG = np.random.default_rng(0)
SIZES = np.array([300.0, 1.0, 1.0, 1.0]).reshape(4, 1, 1, 1)
# Every output of the second layer is needed, but only its first channel can be told from zero in int8.
NET = "a = Conv(x, w, b) r = Relu(a) c = Conv(r, v, d) e = Mul(c, k) f = Conv(e, u, g) y = GlobalAveragePool(f)"


@pytest.fixture
def model(graph):
    def weight():
        return RNG.normal(0, 0.5, (4, 4, 1, 1))

    zeros = {name: np.zeros(4) for name in "bdg"}
    return graph(NET, w=weight(), v=SIZES * weight(), u=weight(), k=1 / SIZES.reshape(1, 4, 1, 1), **zeros)


@pytest.fixture
def ranked(model, images, evaluate):
    quantizer = Quantizer(model, lambda: iter([images]))

    def run(graph):
        return {"output": evaluate(graph, images)}

    heard = []
    found = rank(quantizer, Method(), INT8, run, run(model), lambda *done: heard.append(done))
    return quantizer, run, found, heard


def test_the_value_with_the_coarse_scale_comes_first(ranked):
    _, _, found, heard = ranked
    assert (found[0].value, found[0].module, found[0].operator) == ("c", "net.c", "Conv")
    assert len(found[0].nodes) == 2, "the layer that writes it and the product that reads it"
    assert found[0].gain > 0.8
    assert all(one.gain > LEAST_GAIN for one in found)
    assert [one.worth for one in found] == sorted((one.worth for one in found), reverse=True)
    assert heard[-1][0] == heard[-1][1]


def test_the_gain_is_what_keeping_it_gives(ranked, model):
    quantizer, run, found, _ = ranked
    reference = run(model)
    noise = relative_noise(reference, run(quantizer.quantize(Method(), INT8).write()))
    kept = quantizer.quantize(keeping(Method(), nodes_of(found[:1])), INT8).write()
    assert relative_noise(reference, run(kept)) == pytest.approx((1 - found[0].gain) * noise, rel=1e-6)


def test_time_is_lost_for_products_and_at_borders(model):
    conv, mul = (next(node for node in model.graph if node.name and node.outputs[0].name == name) for name in "ce")
    layers = {layer.name: layer for layer in constant_layers(model, make_plan(model))}
    assert lost_us([conv], layers) == pytest.approx(4 * 4 * 36 * 13e-6 + 2 * 4 * 36 * 0.25e-3)
    assert lost_us([mul], layers) == pytest.approx(2 * 4 * 36 * 0.25e-3)
    assert lost_us([conv, mul], layers) == pytest.approx(4 * 4 * 36 * 13e-6 + 2 * 4 * 36 * 0.25e-3)


def test_an_input_stays_integer_when_what_reads_it_does_not(model, images):
    first = model.graph[0]
    found = Quantizer(model, lambda: iter([images])).quantize(keeping(Method(), (first.name,)), INT8)
    assert "x" in found.params
    assert [reader.op_type for reader, _ in found.write().graph.inputs[0].uses()] == ["QuantizeLinear"]
