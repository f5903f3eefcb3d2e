"""Rounding for the layer's output: never worse than to nearest on the moments, and better on other images."""

import itertools

import numpy as np
import pytest

from edgekit.quant.adaround import Moments, observe_moments, output_error, round_layer, round_layers, search
from edgekit.quant.layers import constant_layers
from edgekit.quant.plan import make_plan
from edgekit.quant.weights import quantize_weight

RNG = np.random.default_rng(0)
BIAS = np.zeros(4)
LAYERS = {
    "pointwise": ("y = Conv(x, w, b)", RNG.normal(0, 1, (4, 4, 1, 1))),
    "dense": ("y = Conv<pads=[1, 1, 1, 1], strides=[2, 2]>(x, w, b)", RNG.normal(0, 1, (4, 4, 3, 3))),
    "depthwise": ("y = Conv<group=4, pads=[1, 0, 1, 2]>(x, w, b)", RNG.normal(0, 1, (4, 1, 3, 3))),
    "grouped": ("y = Conv<group=2, dilations=[2, 2]>(x, w, b)", RNG.normal(0, 1, (4, 2, 2, 2))),
    "product": ("y = MatMul(x, w)", RNG.normal(0, 1, (6, 5))),
}


def smooth(images):
    """Neighbours and channels alike, as in photographs."""
    mixed = images + 2 * images.mean(1, keepdims=True)
    return (mixed + np.roll(mixed, 1, 2) + np.roll(mixed, 1, 3) + images.mean((2, 3), keepdims=True)).astype("f4")


def make(graph, kind):
    body, weight = LAYERS[kind]
    model = graph(body, w=weight, **({"b": BIAS} if ", b)" in body else {}))
    (layer,) = constant_layers(model, make_plan(model))
    return model, layer


@pytest.mark.parametrize("kind", LAYERS)
def test_the_rows_under_the_window_give_the_layers_outputs(graph, images, evaluate, kind):
    model, layer = make(graph, kind)
    rows = layer.unfold(images[:1], 10_000)
    found = np.einsum("grk,gok->gor", rows, layer.rows)
    expected = evaluate(model, images[:1])
    outputs = np.moveaxis(expected[0], -1 if kind == "product" else 0, 0).reshape(found.shape)
    assert np.allclose(found, outputs, atol=1e-4)
    assert np.array_equal(layer.fold(layer.rows), layer.weight)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_output_of_other_images_loses_less_than_with_nearest_rounding(graph, images, kind):
    model, layer = make(graph, kind)
    pictures = smooth(images)
    moments = observe_moments(model, make_plan(model), [pictures[:16]])[layer.name]
    rows = np.concatenate([layer.unfold(image[None], 10_000) for image in pictures[16:]], axis=1)
    rows = rows - rows.mean(1, keepdims=True)

    def error(weight):
        off = layer.split(weight.dequantize()) - layer.rows
        return np.square(np.einsum("grk,gok->gor", rows, off)).sum()

    nearest, rounded = quantize_weight(layer.weight, layer.axis), round_layer(layer, moments, 0.05)
    assert error(rounded) < 0.97 * error(nearest)
    assert np.abs(rounded.stored.astype(int)).max() <= 127
    assert rounded.stored.shape == layer.weight.shape


def test_the_search_finds_the_best_of_all_roundings_of_a_small_row():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.normal(0, 1, (200, 4)) @ rng.normal(0, 1, (4, 4)) + rng.normal(0, 2, (200, 1))
        second = (x.T @ x / 200)[None].astype("f4")
        wanted, scale = rng.normal(0, 5, (1, 1, 4)).astype("f4"), np.ones((1, 1, 1), "f4")
        base = np.floor(wanted[0, 0])
        every = [base + np.array(up) for up in itertools.product((-1, 0, 1, 2), repeat=4)]
        best = min(float((q - wanted[0, 0]) @ second[0] @ (q - wanted[0, 0])) for q in every)
        found = float(output_error(second, wanted, scale, search(second, wanted, scale))[0, 0])
        nearest = float(output_error(second, wanted, scale, np.rint(wanted))[0, 0])
        assert best <= found * 1.001 + 1e-6
        assert found <= nearest
        assert found <= 3 * best + 1e-3


def test_moments_do_not_depend_on_batches(graph, images):
    model, layer = make(graph, "dense")
    plan = make_plan(model)
    whole = observe_moments(model, plan, [images])[layer.name]
    parts = observe_moments(model, plan, [images[:7], images[7:]])[layer.name]
    assert whole.rows == parts.rows
    assert np.array_equal(whole.second, parts.second)


def test_memory_does_not_grow_with_the_images(graph):
    _, layer = make(graph, "dense")
    moments = Moments.empty(layer)
    size = moments.second.nbytes
    for _ in range(3):
        moments.observe(np.ones((1, 5, layer.columns), np.float32))
    moments.centred()
    assert (moments.rows, moments.second.nbytes) == (15, size)


def test_a_budget_that_is_spent_leaves_layers_to_nearest_rounding(graph, images):
    model, layer = make(graph, "dense")
    moments = observe_moments(model, make_plan(model), [images])
    assert round_layers([layer], moments, {layer.name: 0.1}, budget_s=-1.0) == {}
    heard = []
    assert layer.name in round_layers([layer], moments, {layer.name: 0.1}, progress=lambda *done: heard.append(done))
    assert heard == [(1, 1)]


def test_operands_that_never_vary_are_rounded_to_nearest_and_the_others_as_ever(graph):
    """A gate behind a pooled value can be the same for every image; float32 then leaves it a variance below zero."""
    _, layer = make(graph, "depthwise")
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (layer.groups, 40, layer.columns)).astype("f4")

    def moments_with(level):
        """Of these rows, but for the first group, which is always at one level."""
        moments = Moments.empty(layer)
        for image in range(40):
            constant = np.full((1, 1, layer.columns), level, np.float32)
            moments.observe(np.concatenate([constant, rows[1:, image : image + 1]]))
        return moments

    all_moments = map(moments_with, rng.uniform(0.2, 40, 100))
    moments = next(found for found in all_moments if np.diag(found.centred()[0]).min() < 0)
    rounded, usual = round_layer(layer, moments, 0.05), round_layer(layer, moments_with(0), 0.05)
    nearest = quantize_weight(layer.weight, layer.axis, 0.05)
    assert (np.abs(rounded.dequantize() - layer.weight)[0] <= nearest.scale[0] / 2).all()
    np.testing.assert_array_equal(rounded.stored[1:], usual.stored[1:])
