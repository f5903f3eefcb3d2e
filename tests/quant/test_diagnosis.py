"""The diagnosis names the layer that was made bad, and says what would help."""

import numpy as np
import pytest

from edgekit.quant.diagnosis import EQUAL_DB, diagnose, sqnr_db
from edgekit.quant.method import Method, keeping
from edgekit.quant.quantizer import Quantizer
from edgekit.target import QuantScheme

INT8 = QuantScheme("int8", "int8")
RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(0, 0.5, (4, 4, 1, 1))
NET = "a = Conv(x, w, b) r = Relu(a) c = Conv(r, v, d) y = GlobalAveragePool(c)"


@pytest.fixture
def diagnosis(graph, images):
    def make(method=None, **constants):
        given = {"w": WEIGHT, "b": np.ones(4), "v": WEIGHT, "d": np.zeros(4), **constants}
        model = graph(NET, **given)
        return model, diagnose(Quantizer(model, lambda: iter([images])).quantize(method or Method(), INT8), images[:4])

    return make


def test_layers_come_in_order_with_the_modules_names(diagnosis):
    _, found = diagnosis()
    assert [layer.module for layer in found.layers] == ["net.r", "net.c", "net.y"]
    assert found.images == 4
    assert all(layer.alone_db >= 20 for layer in found.layers)
    assert all(layer.sqnr_db <= layer.alone_db + 3 for layer in found.layers)


def test_the_layer_with_channels_of_very_different_size_is_the_culprit(diagnosis):
    rows = np.array([1000.0, 1.0, 0.001, 0.001]).reshape(4, 1, 1, 1)
    _, found = diagnosis(v=WEIGHT * rows)
    assert found.culprit is not None
    assert found.culprit.module in ("net.c", "net.y")
    assert found.culprit.dead >= 2
    assert "equalization" in found.advice


def test_a_layer_kept_in_float_is_no_culprit(diagnosis):
    model, _ = diagnosis()
    names = tuple(node.name for node in model.graph)
    _, found = diagnosis(keeping(Method(), names))
    assert found.culprit is None
    assert all(layer.float32 and layer.sqnr_db == EQUAL_DB for layer in found.layers)
    assert "nothing" in found.advice


def test_a_number_of_the_whole_image_is_walked_too(graph, images):
    body = "a = Conv(x, w, b) m = ReduceMean<keepdims=0>(a) s = Sqrt(m) t = Mul(a, s) y = Relu(t)"
    quantizer = Quantizer(graph(body, w=np.abs(WEIGHT), b=np.full(4, 9.0)), lambda: iter([images]))
    found = diagnose(quantizer.quantize(Method(), INT8), images[:4])
    assert [layer.module for layer in found.layers] == ["net.a", "net.m", "net.s", "net.y"]
    assert all(layer.sqnr_db > 20 for layer in found.layers)


def test_clipping_is_a_share_of_elements_and_of_the_range(diagnosis, graph, images):
    quantizer = Quantizer(graph("y = Relu(x)"), lambda: iter([images]))
    found = diagnose(quantizer.quantize(Method(), INT8), 3 * images[:4])
    (layer,) = found.layers
    assert 0.001 < layer.clipped < 0.5
    assert layer.range_kept < 0.7


def test_sqnr_is_finite_whatever_is_compared():
    one, none = np.ones(3, np.float32), np.zeros(3, np.float32)
    assert sqnr_db(one, one) == EQUAL_DB
    assert sqnr_db(none, one) == -EQUAL_DB
    assert sqnr_db(one, 1.1 * one) == pytest.approx(20, abs=0.1)
