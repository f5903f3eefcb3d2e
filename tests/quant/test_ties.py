"""Additions, products and means give the same integers in every runtime."""

import numpy as np
import pytest

from edgekit.quant import calibrate, quantize
from edgekit.quant.assign import assign
from edgekit.quant.plan import make_plan
from edgekit.quant.ties import LEAST_PARTS, RATIO, tie_free
from edgekit.target import EmitOptions, QuantScheme, targets

INT8 = QuantScheme("int8", "int8")
RNG = np.random.default_rng(0)


@pytest.fixture
def residual(graph):
    """Two residual additions, the second behind the first, with a ReLU6 at one operand."""
    body = """
        a = Conv(x, w0, b0)  c = Conv(a, w1, b1)  s = Add(a, c)
        d = Conv(s, w2, b2)  e = Clip(d, zero, six)  t = Add(s, e)  u = Relu(t)
        y = Sub(u, c)
    """
    weights = {f"w{i}": RNG.normal(0, 0.7, (4, 4, 1, 1)) for i in range(3)}
    biases = {f"b{i}": RNG.normal(0, 0.3, 4) for i in range(3)}
    return graph(body, **weights, **biases, zero=np.float32(0), six=np.float32(6))


def test_scales_of_operands_are_whole_parts_of_the_sums(residual, images):
    plan = make_plan(residual)
    params = assign(residual, plan, calibrate(residual, [images]), "int8")
    for operands, result in ((("a", "c"), "s"), (("s", "e"), "u")):
        for operand in operands:
            parts = params[operand].scale / params[result].scale * RATIO
            if operand != "c":  # it is an operand of the last subtraction first
                assert parts == pytest.approx(round(parts), abs=1e-3)
            assert parts > LEAST_PARTS


def test_a_scale_is_made_at_most_a_little_smaller(residual, images, monkeypatch):
    plan, ranges = make_plan(residual), calibrate(residual, [images])
    settled = assign(residual, plan, ranges, "int8")
    monkeypatch.setattr("edgekit.quant.assign.avoid_ties", lambda *_: None)
    free = assign(residual, plan, ranges, "int8")
    for name, params in settled.items():
        assert 1 - 1.01 / LEAST_PARTS <= params.scale / free[name].scale <= 1
        assert params.zero_point == free[name].zero_point


def test_both_runtimes_give_the_same_integers(residual, images, tmp_path):
    graph, outputs = quantize(residual, calibrate(residual, [images]), INT8), []
    for name in ("tflite-int8", "ort-int8"):
        target = targets.get(name)
        file = tmp_path / target.model_file
        file.write_bytes(target.emit(graph, target, EmitOptions()).data)
        outputs.extend(target.run(file)(np.concatenate([images, 1.7 * images])).values())
    assert np.array_equal(*outputs)


@pytest.mark.parametrize("factor", [2.0, 0.4, 0.0931, 0.0076, 3e-4])
def test_a_tie_free_factor_is_an_odd_part_and_at_most_two_percent_smaller(factor):
    found = tie_free(factor)
    assert 0 <= 1 - found / factor <= 1 / LEAST_PARTS
    odd = next(
        2**n - 1 for n in range(10, 30) if (found * (2**n - 1)) == pytest.approx(round(found * (2**n - 1)), abs=1e-9)
    )
    sums = np.arange(-(10**5), 10**5, dtype=np.int64) * round(found * odd)
    assert (np.abs(2 * (sums % odd) - odd) >= 1).all(), "1 / (2 odd) from every n + 1/2"


def test_products_and_means_have_such_factors(graph, images):
    model = graph(
        "a = Conv(x, w, b) g = Sigmoid(a) h = Mul(a, g) m = GlobalAveragePool(h) y = Conv(m, v, c)",
        w=RNG.normal(0, 0.7, (4, 4, 1, 1)),
        v=RNG.normal(0, 0.7, (4, 4, 1, 1)),
        b=np.zeros(4),
        c=np.zeros(4),
    )
    params = assign(model, make_plan(model), calibrate(model, [images]), "int8")
    scale = {name: found.scale for name, found in params.items()}
    for factor in (scale["a"] * scale["g"] / scale["h"], scale["h"] / (36 * scale["m"])):
        assert factor == pytest.approx(tie_free(factor * (1 + 1e-6)), rel=1e-6)


def test_a_mean_has_no_finer_scale_than_a_mean_of_integers_has(graph, images):
    """ONNX Runtime runs no mean whose result is 256 times finer than that: of a normalized map it is all but zero."""
    model = graph("m = GlobalAveragePool(x) d = Sub(x, m) y = GlobalAveragePool(d)")
    params = assign(model, make_plan(model), calibrate(model, [images]), "int8")
    assert params["y"].scale == pytest.approx(params["d"].scale / 36, rel=1e-5)
