"""Equalization changes no output and makes channels equal; what cannot have a factor keeps its size."""

import numpy as np
import pytest

from edgekit.quant import calibrate
from edgekit.quant.absorb_bias import absorb_bias
from edgekit.quant.equalize import FIXED, equalize, follow_channels

RNG = np.random.default_rng(0)
SPREAD = np.array([1000.0, 30.0, 1.0, 0.03]).reshape(4, 1, 1, 1)


def weight(outputs=4, inputs=4, size=1):
    return RNG.normal(0, 0.5, (outputs, inputs, size, size))


BIAS = np.zeros(4)
NETS = {
    "ReLU": ("a = Conv(x, w, b) r = Relu(a) y = Conv(r, v, b)", {}),
    "ReLU6 and a depthwise layer": (
        "a = Conv(x, small, b) r = Clip(a, low, high) d = Conv<group=4, pads=[1, 1, 1, 1]>(r, dw, b) "
        "s = Clip(d, low, high) y = Conv(s, v, b)",
        {"low": np.float32(0), "high": np.float32(6), "dw": weight(4, 1, 3), "small": SPREAD / 400 * weight()},
    ),
    "residual addition": (
        "a = Conv(x, w, b) c = Conv(x, u, b) s = Add(a, c) p = MaxPool<kernel_shape=[2, 2]>(s) y = Conv(p, v, b)",
        {"u": weight()},
    ),
    "concatenation": (
        "a = Conv(x, w, b) r = Relu(a) c = Concat<axis=1>(r, r) y = Conv(c, wide, b)",
        {"wide": weight(4, 8)},
    ),
    "classifier": (
        "a = Conv(x, w, b) r = Relu(a) g = GlobalAveragePool(r) f = Flatten(g) z = Gemm<transB=1>(f, fc, b) "
        "y = Reshape(z, shape)",
        {"fc": weight()[:, :, 0, 0], "shape": np.array([1, 4, 1, 1])},
    ),
}


@pytest.fixture
def net(graph):
    RNG.bit_generator.state = np.random.default_rng(1).bit_generator.state  # whatever ran before

    def make(kind):
        body, constants = NETS[kind]
        given = {"w": SPREAD * weight(), "v": weight(), "b": BIAS, **constants}
        for name in list(given):
            if f" {name})" not in body and f" {name}," not in body:
                del given[name]
        # Layers own their constants in a canonical graph: each reader of b gets a copy.
        for index in range(body.count(", b)")):
            body = body.replace(", b)", f", b{index})", 1)
            given[f"b{index}"] = RNG.normal(0, 0.1, 4)
        given.pop("b", None)
        return graph(body, **given)

    return make


@pytest.mark.parametrize("kind", NETS)
def test_the_network_computes_what_it_did(net, kind, images, evaluate):
    model = net(kind)
    changed = model.clone()
    assert equalize(changed, calibrate(model, [images]))
    before, after = evaluate(model, images), evaluate(changed, images)
    assert np.abs(before - after).max() <= 1e-5 * np.abs(before).max()


@pytest.mark.parametrize("kind", NETS)
def test_channels_come_closer_to_each_other(net, kind, images):
    model = net(kind)
    before = calibrate(model, [images])
    equalize(model, before)
    after = calibrate(model, [images])

    def spread(ranges):
        found = [np.abs(r.channel_bounds).max(0) for n, r in ranges.items() if n not in ("x", "y")]
        return sum(np.log(sizes[sizes > 0]).std() for sizes in found)

    assert spread(after) < 0.95 * spread(before)


@pytest.mark.parametrize("kind", NETS)
def test_int8_gains_from_it(net, kind, images, evaluate, quantized):
    lost = []
    for _ in range(8):  # one network may lose by luck
        model = net(kind)
        changed = model.clone()
        equalize(changed, calibrate(model, [images]))
        expected = evaluate(model, images)
        lost.append([np.square(evaluate(quantized(m), images) - expected).mean() for m in (model, changed)])
    before, after = np.mean(lost, axis=0)
    assert after < before


@pytest.mark.parametrize(
    "body",
    [
        "a = Conv(x, w, b) t = Tanh(a) y = Conv(t, v, c)",
        "a = Conv(x, w, b) h = Add(a, k) r = Relu(h) m = Mul(a, r) y = Conv(m, v, c)",
        "a = Conv(x, w, b) s = Softmax<axis=1>(a) y = Conv(s, v, c)",
        "a = Conv(x, w, b) p = Pad(a, more) q = Slice(p, zero, four, one) y = Conv(q, v, c)",
    ],
)
def test_what_does_not_pass_a_factor_keeps_its_size(graph, images, body):
    constants = {"w": SPREAD * weight(), "b": BIAS, "v": weight(), "c": BIAS}
    if ", k" in body:
        constants["k"] = np.full((1, 4, 1, 1), 3.0)
    if "Pad" in body:  # channels of zeros behind the others, cut off again
        constants |= {"more": np.array([0, 0, 0, 0, 0, 2, 0, 0]), "zero": np.array([0])}
        constants |= {"four": np.array([4]), "one": np.array([1])}
    model = graph(body, **constants)
    channels = follow_channels(model)
    assert set(channels.roots("a").tolist()) == {FIXED}
    assert not equalize(model, calibrate(model, [images]))


def test_a_weight_with_two_readers_is_left_alone(graph, images):
    model = graph("a = Conv(x, w, b) r = Relu(a) y = Conv(r, w, b)", w=weight(), b=BIAS)
    assert not equalize(model, calibrate(model, [images]))


def test_a_bias_below_which_a_channel_never_falls_moves_behind_the_relu(graph, images, evaluate):
    body = "a = Conv(x, w, b) r = Relu(a) y = Conv(r, v, c)"
    model = graph(body, w=0.1 * weight(), b=np.array([50.0, 0.0, 20.0, -1.0]), v=weight(), c=BIAS)
    expected, before = evaluate(model, images), calibrate(model, [images])
    assert absorb_bias(model, before)
    assert np.allclose(evaluate(model, images), expected, atol=1e-4)
    after = calibrate(model, [images])
    assert before["r"].max > 50
    assert after["r"].max < 10
    assert after["r"].channel_bounds[0] == pytest.approx(np.zeros(4), abs=1e-5)


def test_a_padded_reader_absorbs_nothing(graph, images):
    body = "a = Conv(x, w, b) r = Relu(a) y = Conv<pads=[1, 1, 1, 1]>(r, v, c)"
    model = graph(body, w=0.1 * weight(), b=np.full(4, 50.0), v=weight(4, 4, 3), c=BIAS)
    assert not absorb_bias(model, calibrate(model, [images]))
