"""A HardSwish lets a factor pass once its shift is a layer."""

import numpy as np
import pytest

from edgekit.quant import calibrate
from edgekit.quant.equalize import equalize
from edgekit.quant.hard_swish import shift_by_addition, shift_by_layer
from edgekit.quant.method import RUNGS, Method
from edgekit.quant.quantizer import Quantizer
from edgekit.target import QuantScheme

INT8 = QuantScheme("int8", "int8")
BODY = (
    "a = Conv(x, w, b) t = Add(a, three) g = Clip(t, low, high) h = Mul(a, g) "
    "d = Conv<group=4, pads=[1, 1, 1, 1]>(h, dw, c) y = Conv(d, v, e)"
)


@pytest.fixture
def model(graph):
    rng = np.random.default_rng(0)
    sizes = np.array([8.0, 0.5, 0.2, 0.05]).reshape(4, 1, 1, 1)
    return graph(
        BODY,
        w=sizes * rng.normal(0, 0.5, (4, 4, 1, 1)),
        dw=rng.normal(0, 0.3, (4, 1, 3, 3)) / sizes,
        v=rng.normal(0, 0.5, (4, 4, 1, 1)),
        **{name: np.zeros(4) for name in "bce"},
        three=np.float32(3),
        low=np.float32(0),
        high=np.float32(6),
    )


def operators(model):
    return [node.op_type for node in model.graph]


def test_the_layer_computes_the_shift_and_is_undone_where_nothing_changed(model, images, evaluate):
    changed = model.clone()
    layers = shift_by_layer(changed)
    assert operators(changed) == ["Conv", "Conv", "Clip", "Mul", "Conv", "Conv"]
    assert np.abs(evaluate(changed, images) - evaluate(model, images)).max() < 1e-5
    shift_by_addition(changed, layers)
    assert operators(changed) == operators(model)
    assert np.array_equal(evaluate(changed, images), evaluate(model, images))


def test_channels_are_equalized_through_it(model, images, evaluate):
    changed, ranges = model.clone(), calibrate(model, [images])
    layers = shift_by_layer(changed)
    assert equalize(model.clone(), ranges) < equalize(changed, ranges)
    shift_by_addition(changed, layers)
    assert operators(changed).count("Conv") == 4, "its weights are no longer 1"
    expected = evaluate(model, images)
    assert np.abs(evaluate(changed, images) - expected).max() < 1e-5 * np.abs(expected).max() + 1e-5
    before, after = (np.abs(calibrate(m, [images])["h"].channel_bounds).max(0) for m in (model, changed))
    assert after.max() / after.min() < 0.5 * before.max() / before.min()


def test_int8_gains_ten_decibels_from_it(model, images, evaluate):
    quantizer, expected = Quantizer(model, lambda: iter([images])), evaluate(model, images)

    def noise(method: Method) -> float:
        return float(np.square(evaluate(quantizer.quantize(method, INT8).write(), images) - expected).sum())

    assert noise(RUNGS["int8"]["equalized"]) < 0.1 * noise(RUNGS["int8"]["mse"])


@pytest.mark.parametrize(
    "body",
    [
        "t = Add(x, three) g = Clip(t, low, high) y = Mul(g, g)",
        "t = Add(x, three) y = Clip(t, low, high)",
        "t = Add(x, three) g = Clip(t, low, high) y = Add(x, g)",
    ],
)
def test_other_additions_in_front_of_a_clip_are_left_alone(graph, body):
    model = graph(body, three=np.float32(3), low=np.float32(0), high=np.float32(6))
    assert shift_by_layer(model) == []
