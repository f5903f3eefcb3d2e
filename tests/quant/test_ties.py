"""Residual additions give the same integers in both runtimes."""

import numpy as np
import pytest

from edgekit.artifact import EmitOptions
from edgekit.quant import calibrate, quantize
from edgekit.quant.assign import LEAST_PARTS, RATIO, assign
from edgekit.quant.plan import make_plan
from edgekit.registry import QuantScheme, targets

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
        file = tmp_path / f"model.{target.format}"
        file.write_bytes(target.emit(graph, target, EmitOptions()).data)
        outputs.append(target.run(file)(np.concatenate([images, 1.7 * images])))
    assert np.array_equal(*outputs)
