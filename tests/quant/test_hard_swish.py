"""A HardSwish lets a factor pass once its shift is a layer."""

import numpy as np
import pytest

from edgekit.costs import price
from edgekit.quant import calibrate
from edgekit.quant.equalize import equalize
from edgekit.quant.hard_swish import (
    Choice,
    bands_of,
    choose_gates,
    find_gates,
    pass_factors,
    saturate_below,
    shift_by_addition,
    shift_by_layer,
)
from edgekit.quant.method import RUNGS, Method
from edgekit.quant.operators import constant_of
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
    layers = shift_by_layer(changed, find_gates(changed))
    assert operators(changed) == ["Conv", "Conv", "Clip", "Mul", "Conv", "Conv"]
    assert np.abs(evaluate(changed, images) - evaluate(model, images)).max() < 1e-5
    shift_by_addition(changed, layers)
    assert operators(changed) == operators(model)
    assert np.array_equal(evaluate(changed, images), evaluate(model, images))


def test_channels_are_equalized_through_it(model, images, evaluate):
    changed, ranges = model.clone(), calibrate(model, [images])
    layers = shift_by_layer(changed, find_gates(changed))
    assert equalize(model.clone(), ranges) < equalize(changed, ranges)
    shift_by_addition(changed, layers)
    assert operators(changed).count("Conv") == 4, "its weights are no longer 1"
    expected = evaluate(model, images)
    assert np.abs(evaluate(changed, images) - expected).max() < 1e-5 * np.abs(expected).max() + 1e-5
    before, after = (np.abs(calibrate(m, [images])["h"].channel_bounds).max(0) for m in (model, changed))
    assert after.max() / after.min() < 0.5 * before.max() / before.min()


def test_int8_gains_ten_decibels_from_it(model, images, evaluate, monkeypatch):
    monkeypatch.setattr("edgekit.quant.quantizer.WORTH_DB", 0.1)  # of so small a net the layer is a fifth
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
    assert find_gates(model) == []


WIDE = (
    "a = Conv(x, w, b) t = Add(a, three) g = Clip(t, low, high) h = Mul(a, g) "
    "d = Conv<group=16, pads=[1, 1, 1, 1]>(h, dw, c) r = Relu(d) p = GlobalAveragePool(r) "
    "s = Conv(p, sw, sb) k = Clip(s, low, one) m = Mul(r, k) y = Conv(m, v, e)"
)
LARGE = (2, 5, 9, 12)


@pytest.fixture
def wide(graph):
    """A first block of MobileNetV3: 16 channels, four of them thirty times larger, with a gate behind them."""
    rng = np.random.default_rng(0)
    sizes = np.full((16, 1, 1, 1), 0.1)
    sizes[list(LARGE)] = 3.0
    return graph(
        WIDE,
        w=sizes * rng.normal(0, 0.5, (16, 4, 1, 1)),
        b=np.zeros(16),
        dw=rng.normal(0, 0.3, (16, 1, 3, 3)) / sizes,
        c=np.zeros(16),
        sw=rng.normal(0, 0.3, (16, 16, 1, 1)),
        sb=np.full(16, 0.5),
        v=rng.normal(0, 0.5, (4, 16, 1, 1)),
        e=np.zeros(4),
        three=np.float32(3),
        low=np.float32(0),
        high=np.float32(6),
        one=np.float32(1),
    )


def choice_of(model, form):
    return Choice({gate.product.name: form for gate in find_gates(model)}, 0.0)


def test_bands_compute_the_same_on_channels_in_another_order(wide, images, evaluate):
    changed, ranges = wide.clone(), calibrate(wide, [images])
    [gate] = find_gates(changed)
    assert set(bands_of(gate, ranges)[0].tolist()) == set(LARGE)
    assert pass_factors(changed, ranges, choice_of(changed, "bands")) > 0
    assert [operators(changed).count(name) for name in ("Split", "Concat", "Transpose")] == [1, 1, 0]
    expected = evaluate(wide, images)
    assert np.abs(evaluate(changed, images) - expected).max() < 1e-5 * np.abs(expected).max()
    before, after = (np.abs(calibrate(m, [images])["h"].channel_bounds).max(0) for m in (wide, changed))
    assert after.max() / after.min() < 0.3 * before.max() / before.min()


def test_no_sum_of_a_bands_integers_but_that_of_zero_lies_half_way_between_two(wide, images):
    changed, ranges = wide.clone(), calibrate(wide, [images])
    pass_factors(changed, ranges, choice_of(changed, "bands"))
    gates = [node for node in changed.graph if node.op_type == "Clip" and str(node.name).endswith(".gate")]
    assert len(gates) == 4
    for gate in gates:
        bounded = gate.inputs[0].producer().inputs[0].producer()
        low, high = (constant_of(value).item() for value in bounded.inputs[1:])
        step, gate_step = (high - low) / 255, constant_of(gate.inputs[2]).item() / 255
        zero = round(-low / step)
        sums = (np.arange(256) - zero) * step / gate_step - low / gate_step
        from_a_tie = np.abs(sums - np.floor(sums) - 0.5)
        assert from_a_tie[zero] < 1e-3
        assert np.delete(from_a_tie, zero).min() > 3e-3


def test_channels_in_an_order_that_an_output_shows_are_no_bands(wide, images, evaluate):
    shown = wide.clone()
    shown.graph.outputs.append(next(v for node in shown.graph for v in node.outputs if v.name == "d"))
    ranges = calibrate(shown, [images])
    pass_factors(shown, ranges, choice_of(shown, "bands"))
    assert "Split" not in operators(shown)


def test_the_cut_below_is_where_hard_swish_is_zero(wide, images, evaluate):
    changed = wide.clone()
    saturate_below(changed)
    assert operators(changed)[:2] == ["Conv", "Clip"]
    assert np.array_equal(evaluate(changed, images), evaluate(wide, images))
    ranges = calibrate(changed, [images])
    assert ranges["a.cut"].min >= -3.0


def test_the_cheapest_form_that_lets_factors_pass_is_chosen(wide, images):
    found = list(choose_gates(wide, calibrate(wide, [images]), None))
    assert [set(choice.forms.values()) for choice in found] == [{"layer"}], (
        "of 6x6 pixels; taking maps apart has a price"
    )
    assert found[0].dearer > 0


@pytest.mark.parametrize("tune", ["a53", "a72", "a76", "x86", None])
def test_bands_cost_less_than_a_layer_on_every_core(tune):
    addition, bands, layer = (
        price("hard_swish", form, elements=16 * 112 * 112, pixels=112 * 112, tune=tune)
        for form in ("addition", "bands", "layer")
    )
    assert addition < layer
    assert bands < layer


def test_a_form_that_costs_more_than_it_gains_is_not_taken(model, images, monkeypatch):
    monkeypatch.setattr("edgekit.quant.quantizer.WORTH_DB", 1e3)
    found = Quantizer(model, lambda: iter([images])).quantize(RUNGS["int8"]["equalized"], INT8)
    assert not found.choice.forms
    assert operators(found.model) == operators(model)
