"""Every rung on a hard net: each quantizes it, and the dear ones lose less than the cheap ones."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgekit.graph.outputs import relative_noise
from edgekit.graph.runner import GraphRunner
from edgekit.quant.bias_correction import mean_error
from edgekit.quant.method import QUALITY, RUNGS, Method, keeping
from edgekit.quant.quantizer import Quantizer
from edgekit.target import QuantScheme

INT8, INT16 = QuantScheme("int8", "int8"), QuantScheme("int8", "int16")
RNG = np.random.default_rng(0)
CHANNELS = 16
SPREAD = (10.0 ** np.linspace(-1.5, 1.5, CHANNELS)).reshape(
    -1, 1, 1, 1
)  # factor 1000, as in MobileNet's depthwise layers

# Depthwise channels of very different size, a HardSwish with tails, a gate that saturates, a residual addition.
HARD = """
    e = Conv(x, we, be)  r = Clip(e, zero, six)
    d = Conv<group=16, pads=[1, 1, 1, 1]>(r, wd, bd)  s = Relu(d)
    p = Conv(s, wp, bp)
    o = Add(p, three)  c = Clip(o, zero, six)  h = Mul(p, c)
    g = GlobalAveragePool(h)  q = Conv(g, wg, bg)  gate = Clip(q, zero, one)  m = Mul(h, gate)
    t = Add(m, x)
    f = Conv(t, wf, bf)  y = GlobalAveragePool(f)
"""


@pytest.fixture(scope="module")
def hard(graph):
    def w(*shape):
        return RNG.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)

    return graph(
        HARD,
        we=SPREAD * w(CHANNELS, 4, 1, 1),
        be=0.1 * SPREAD.reshape(-1),
        wd=w(CHANNELS, 1, 3, 3) / np.minimum(SPREAD, 2),
        bd=np.zeros(CHANNELS),
        wp=w(4, CHANNELS, 1, 1),
        bp=np.array([-3.0, 0.0, 4.0, 9.0]),
        wg=5 * w(4, 4, 1, 1),
        bg=np.array([-4.0, 0.5, 3.0, 0.2]),
        wf=w(10, 4, 1, 1),
        bf=np.zeros(10),
        zero=np.float32(0),
        six=np.float32(6),
        one=np.float32(1),
        three=np.full((1, 4, 1, 1), 3.0),
    )


@pytest.fixture(scope="module")
def quantizer(hard, images):
    return Quantizer(hard, lambda: iter([images[:16]]))


def sqnr_db(expected, found):
    return 10 * np.log10(np.square(expected).sum() / np.square(expected - found).sum())


@pytest.fixture(scope="module")
def reached(hard, quantizer, images, evaluate):
    expected = evaluate(hard, images)
    return {
        (scheme.activation, rung): sqnr_db(expected, evaluate(quantizer.quantize(method, scheme).write(), images))
        for scheme in (INT8, INT16)
        for rung, method in RUNGS[scheme.activation].items()
    }


every_rung = pytest.mark.parametrize(
    ("scheme", "method"),
    [
        pytest.param(scheme, method, id=f"{scheme.activation}-{rung}")
        for scheme in (INT8, INT16)
        for rung, method in RUNGS[scheme.activation].items()
    ],
)


@every_rung
def test_every_rung_gives_a_valid_graph(quantizer, scheme, method):
    onnx.checker.check_model(ir.to_proto(quantizer.quantize(method, scheme).write()), full_check=True)


def test_no_rung_breaks_a_hard_net(reached):
    assert min(reached.values()) > 30
    assert reached["int16", "adaround"] > reached["int16", "nearest"]
    assert reached["int16", "expanded"] > reached["int16", "corrected"] + 10


def test_channels_that_differ_by_a_thousand_need_equalization(hard, images, evaluate):
    depthwise = hard.clone()
    depthwise.graph.outputs[:] = [value for node in depthwise.graph for value in node.outputs if value.name == "p"]
    quantizer = Quantizer(depthwise, lambda: iter([images[:16]]))
    expected = evaluate(depthwise, images)
    found = {
        rung: sqnr_db(expected, evaluate(quantizer.quantize(RUNGS["int8"][rung], INT8).write(), images))
        for rung in ("mse", "equalized", "corrected")
    }
    assert found["equalized"] > found["mse"] + 0.5
    assert found["corrected"] > found["mse"] + 0.5


@pytest.mark.parametrize("dtype", RUNGS)
def test_qualities_are_rungs_in_order(dtype):
    places = [list(RUNGS[dtype]).index(rung) for rung in QUALITY[dtype].values()]
    assert places == sorted(places)


def test_the_graph_is_not_changed_and_two_runs_are_equal(hard, images):
    before = ir.to_proto(hard).SerializeToString()
    made = [
        ir.to_proto(Quantizer(hard, lambda: iter([images])).quantize(RUNGS["int8"]["corrected"], INT8).write())
        for _ in range(2)
    ]
    assert made[0].SerializeToString() == made[1].SerializeToString()
    assert ir.to_proto(hard).SerializeToString() == before


def test_a_node_kept_in_float_has_no_pair_between_it_and_its_activation(hard, quantizer, images, evaluate):
    name = next(node.name for node in hard.graph if node.outputs[0].name == "e")
    found = quantizer.quantize(keeping(Method(), (name,)), INT8)
    graph = found.write()
    node = next(node for node in graph.graph if node.name == name)
    assert node.inputs[1].const_value is not None
    (activation,) = (reader for reader, _ in node.outputs[0].uses())
    assert activation.op_type == "Clip"
    assert "r" in found.params
    assert "e" not in found.params
    assert np.isfinite(evaluate(graph, images)).all()


def test_everything_in_float_is_the_float_network(hard, quantizer, images, evaluate):
    names = tuple(node.name for node in hard.graph)
    graph = quantizer.quantize(keeping(Method(), names), INT8).write()
    assert np.array_equal(evaluate(graph, images), evaluate(hard, images))


def test_a_walk_computes_what_the_written_graph_does(quantizer, images, evaluate):
    found = quantizer.quantize(RUNGS["int8"]["corrected"], INT8)
    steps = list(found.walker.walk(images, alone=True))
    expected = evaluate(found.write(), images)
    assert np.abs(steps[-1].stored[0] - expected).max() <= 2.5 * found.params["y"].scale
    assert all(len(step.alone) == len(step.stored) for step in steps)


def test_a_trimmed_mean_does_not_follow_a_few_outliers():
    reference = np.full((4, 2, 50, 5), 1.0, np.float32)
    actual = reference - np.array([0.5, 0.0], np.float32).reshape(1, 2, 1, 1)
    actual[0, 1, 0, :] = -1000.0
    assert mean_error(reference, actual, 1) == pytest.approx([0.5, 0.0], abs=1e-6)


@every_rung
def test_a_constant_activation_has_a_scale_above_zero(graph, images, scheme, method):
    model = graph(
        "a = Mul(x, zero) r = Relu(a) y = Conv(r, w, b)",
        zero=np.zeros((4, 1, 1)),
        w=np.ones((4, 4, 1, 1)),
        b=np.ones(4),
    )
    found = Quantizer(model, lambda: iter([images])).quantize(method, scheme)
    assert all(np.isfinite(p.scale) and p.scale > 0 for p in found.params.values())
    assert all((layer.weight.scale > 0).all() for layer in found.layers.values())


def test_outputs_have_the_headroom_that_was_asked_for_and_nothing_else_has(graph, images):
    model = graph(
        "a = Conv(x, w, b) y = Reshape(a, shape)", w=np.ones((4, 4, 1, 1)), b=np.zeros(4), shape=[1, 4, 36, 1]
    )
    plain, wide = (
        Quantizer(model, lambda: iter([images]), output_headroom=factor).quantize(RUNGS["int8"]["min-max"], INT8).params
        for factor in (1.0, 3.0)
    )
    assert wide["x"] == plain["x"]
    for name in ("a", "y"):
        assert wide[name].scale == pytest.approx(3 * plain[name].scale, rel=1e-3)


BOUNDED = """
    e = Conv(x, we, be)  r = Conv(e, wr, br)  s = Clip(r, zero, one)
    f = Conv(s, wf, bf)  y = GlobalAveragePool(f)
"""


def with_few_large(images, factor):
    """One pixel of each image as many times as large."""
    found = images.copy()
    found[:, :, 3, 3] *= factor
    return found


@pytest.fixture(scope="module")
def bounded(graph):
    rng = np.random.default_rng(3)
    return graph(
        BOUNDED,
        we=rng.normal(0, 0.5, (8, 4, 1, 1)),
        be=np.zeros(8),
        wr=rng.normal(0, 0.3, (16, 8, 1, 1)),
        br=np.zeros(16),
        wf=rng.normal(0, 0.3, (10, 16, 1, 1)),
        bf=np.zeros(10),
        zero=np.float32(0),
        one=np.float32(1),
    )


def test_a_few_long_vectors_that_a_clip_bounds_do_not_decide_the_scale(bounded, images):
    """The range of `e`, which they are thirty times beyond, and what other images lose by either criterion."""
    given, others = with_few_large(images[:16], 100.0), with_few_large(images[16:], 100.0)
    quantizer = Quantizer(bounded, lambda: iter([given]))
    plain, relative = (quantizer.quantize(Method(criterion), INT8) for criterion in ("mse", "relative"))
    assert relative.method.criterion == "relative"
    assert relative.params["e"].scale < plain.params["e"].scale * 2 / 3
    expected = GraphRunner(bounded)(others)
    lost = [relative_noise(expected, found.simulated()(others)) for found in (plain, relative)]
    assert lost[1] < lost[0] * 2 / 3


def test_ranges_of_least_error_stay_where_the_relative_ones_lose_more(graph, images):
    """Where long vectors reach the output as they are, cutting them is what costs."""
    net = graph(
        "e = Conv(x, w, b) y = Conv(e, v, b)", w=np.eye(4)[..., None, None], v=np.eye(4)[..., None, None], b=np.zeros(4)
    )
    quantizer = Quantizer(net, lambda: iter([with_few_large(images[:16], 100.0)]))
    written = [quantizer.quantize(Method(criterion), INT8) for criterion in ("mse", "relative")]
    assert written[1].method.criterion == "mse"
    assert written[0].params == written[1].params
