"""The operator that hurts most for its time comes first, and keeping it in float helps as much as the ranking says."""

import numpy as np
import pytest

from edgekit.quant.method import Method, keeping
from edgekit.quant.quantizer import Quantizer
from edgekit.quant.sensitivity import LEAST_GAIN, error_power, lost_us, rank
from edgekit.registry import QuantScheme

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
        return evaluate(graph, images)

    heard = []
    found = rank(quantizer, Method(), INT8, run, run(model), lambda *done: heard.append(done))
    return quantizer, run, found, heard


def test_the_operators_around_the_coarse_scale_come_first(ranked):
    _, _, found, heard = ranked
    assert {one.module for one in found[:2]} <= {"net.c", "net.e"}
    assert all(one.gain > LEAST_GAIN for one in found)
    assert [one.worth for one in found] == sorted((one.worth for one in found), reverse=True)
    assert heard[-1][0] == heard[-1][1]


def test_the_gain_is_what_keeping_it_gives(ranked, model):
    quantizer, run, found, _ = ranked
    reference = run(model)
    noise = error_power(reference, run(quantizer.quantize(Method(), INT8).write()))
    kept = quantizer.quantize(keeping(Method(), (found[0].node,)), INT8).write()
    assert error_power(reference, run(kept)) == pytest.approx((1 - found[0].gain) * noise, rel=1e-6)


def test_a_layer_loses_time_for_its_products_and_its_borders(model):
    conv, mul = (next(node for node in model.graph if node.op_type == op) for op in ("Conv", "Mul"))
    assert lost_us(conv, model) == pytest.approx(4 * 4 * 36 * 13e-6 + 2 * 4 * 36 * 0.25e-3)
    assert lost_us(mul, model) == pytest.approx(2 * 4 * 36 * 0.25e-3)
