"""Weights in two parts: the same function, and an int16 network that is exact to 15 bits."""

import numpy as np
import pytest

from edgekit.quant import calibrate
from edgekit.quant.expand import expand, tighten
from edgekit.quant.layers import constant_layers
from edgekit.quant.method import RUNGS
from edgekit.quant.plan import make_plan
from edgekit.quant.quantizer import Quantizer
from edgekit.target import QuantScheme

INT16 = QuantScheme("int8", "int16")
RNG = np.random.default_rng(0)
LAYERS = {
    "convolution": ("y = Conv<pads=[1, 1, 1, 1]>(x, w, b)", {"w": RNG.normal(0, 1, (4, 4, 3, 3)), "b": np.ones(4)}),
    "depthwise": ("y = Conv<group=4>(x, w, b)", {"w": RNG.normal(0, 1, (4, 1, 3, 3)), "b": np.ones(4)}),
    "without a bias": ("y = Conv(x, w)", {"w": RNG.normal(0, 1, (4, 4, 1, 1))}),
    "product": ("y = MatMul(x, w)", {"w": RNG.normal(0, 1, (6, 5))}),
}


def expanded(model):
    changed = model.clone()
    return changed, expand(changed, constant_layers(changed, make_plan(changed)))


@pytest.mark.parametrize("kind", LAYERS)
def test_it_computes_what_it_did(graph, images, evaluate, kind):
    body, constants = LAYERS[kind]
    model = graph(body, **constants)
    changed, additions = expanded(model)
    layer = body.split("= ")[1].split("(")[0].split("<")[0]
    assert [node.op_type for node in changed.graph] == [layer, layer, "Add"]
    assert len(additions) == 1
    assert set(changed.graph.initializers) & {"w"} == set(), "what nothing reads is gone"
    expected = evaluate(model, images)
    assert np.abs(evaluate(changed, images) - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("kind", LAYERS)
def test_weights_are_hardly_an_error_any_more(graph, images, evaluate, kind):
    body, constants = LAYERS[kind]
    model = graph(body, **constants)
    quantizer, expected = Quantizer(model, lambda: iter([images])), evaluate(model, images)
    errors = {
        rung: np.abs(evaluate(quantizer.quantize(RUNGS["int16"][rung], INT16).write(), images) - expected).max()
        for rung in ("analytic", "expanded")
    }
    assert errors["expanded"] < 0.1 * errors["analytic"]
    assert errors["expanded"] < 3e-4 * np.abs(expected).max()


def test_the_first_part_reaches_no_further_than_the_activation_and_the_second_part(graph, images):
    body = "a = Conv(x, w, b) y = Clip(a, low, high)"
    sizes = np.array([1000.0, 1, 1, 1]).reshape(4, 1, 1, 1)
    weight = sizes * RNG.normal(0, 1, (4, 4, 1, 1))
    model = graph(body, w=weight, b=np.zeros(4), low=np.float32(0), high=np.float32(6))
    changed, additions = expanded(model)
    ranges = calibrate(changed, [images])
    before, rest = ranges["a.first"].max, ranges["a.rest"]
    tighten(additions, ranges)
    largest = max(-rest.min, rest.max)
    assert before > 1000
    assert ranges["a.first"].max == pytest.approx(6 + 2 * largest)
    assert ranges["a.first"].min == pytest.approx(-2 * largest)
