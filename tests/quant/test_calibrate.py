"""Calibration: any order, any batching, constant memory; NaN and infinity named by their module."""

import sys
import tracemalloc

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.quant import Range, calibrate
from edgekit.quant.assign import HEADROOM, VECTOR_HEADROOM, choose, merge
from edgekit.quant.calibrate import (
    SAMPLES_PER_MAP,
    Sample,
    ValueObserver,
    choose_stride,
    images_ahead,
    observing_session,
    stream_maps,
)
from edgekit.quant.parameters import choose_int8
from edgekit.quant.plan import values_of

WEIGHT, BIAS = np.random.default_rng(0).normal(0, 0.5, (4, 4, 3, 3)), np.zeros(4)
NET = "a = Conv(x, w, b) r = Relu(a) t = Tanh(r) y = Mul(r, t)"


@pytest.fixture(scope="module")
def net(graph):
    return graph(NET, w=WEIGHT, b=BIAS)


def same(first, second):
    """Equal ranges; a mean may differ by the rounding of a float64 sum."""
    assert first.keys() == second.keys()
    for name, range_ in first.items():
        other = second[name]
        assert (range_.min, range_.max) == (other.min, other.max), name
        assert (range_.histogram is None) == (other.histogram is None), name
        if range_.histogram is not None:
            assert range_.histogram.exponent == other.histogram.exponent, name
            assert np.array_equal(range_.histogram.counts, other.histogram.counts), name
            assert np.allclose(range_.weighted.counts, other.weighted.counts, rtol=1e-9), name
        if range_.channel_mean is not None:
            assert np.allclose(range_.channel_mean, other.channel_mean, rtol=1e-12), name


@pytest.mark.parametrize("size", [1, 5, 16, 24])
def test_ranges_do_not_depend_on_the_batches(net, images, size):
    batches = [images[i : i + size] for i in range(0, len(images), size)]
    same(calibrate(net, batches), calibrate(net, [images]))


def test_ranges_do_not_depend_on_the_order(net, images):
    order = np.random.default_rng(1).permutation(len(images))
    same(calibrate(net, [images[order]]), calibrate(net, [images]))
    growing = images * np.linspace(0.01, 50, len(images), dtype=np.float32).reshape(-1, 1, 1, 1)
    same(calibrate(net, [growing[::-1]]), calibrate(net, [growing]))


def test_a_generator_of_batches_is_read_once(net, images):
    same(calibrate(net, (images[i : i + 4] for i in range(0, 24, 4))), calibrate(net, [images]))


@pytest.fixture
def no_room_ahead(monkeypatch):
    monkeypatch.setattr(sys.modules[calibrate.__module__], "MAPS_AHEAD", 0)


def test_ranges_do_not_depend_on_the_room_for_feature_maps(net, images, request):
    found = calibrate(net, [images])
    request.getfixturevalue("no_room_ahead")
    same(calibrate(net, [images]), found)


def test_without_room_one_image_lies_in_memory(net, images, no_room_ahead):
    session = observing_session(net, ["t", "y"])
    assert images_ahead(session) == 0
    maps = stream_maps(session, [images])
    first = next(maps)
    assert len(first) == 2
    next(maps)
    assert not first


def test_bounds_and_means_are_those_of_the_values(net, images, evaluate):
    found = calibrate(net, [images])
    assert (found["x"].min, found["x"].max) == (float(images.min()), float(images.max()))
    assert np.allclose(found["x"].channel_mean, images.mean((0, 2, 3)), rtol=1e-5)
    outputs = evaluate(net, images)
    assert found["y"].max == pytest.approx(float(outputs.max()), rel=1e-5)
    assert found["r"].channel_mean is None
    assert found["x"].histogram.counts.sum() == images.size


def test_only_values_that_need_a_range_are_observed(net, images):
    assert calibrate(net, [images]).keys() == {"x", "r", "y"}


def test_the_graph_is_not_changed(net, images):
    before = [value.name for value in net.graph.outputs]
    calibrate(net, [images])
    assert [value.name for value in net.graph.outputs] == before


@pytest.mark.parametrize("batches", [[], [np.zeros((0, 4, 6, 6), np.float32)]])
def test_no_images_are_refused(net, batches):
    with pytest.raises(EdgekitError, match="no calibration images") as raised:
        calibrate(net, batches)
    assert raised.value.code == "EK401"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "shape"), [("w", WEIGHT.shape), ("b", (4,))])
def test_a_weight_that_is_not_finite_is_named_by_its_layer(graph, images, bad, name, shape):
    constants = {"w": WEIGHT, "b": BIAS} | {name: np.full(shape, bad)}
    with pytest.raises(EdgekitError) as raised:
        calibrate(graph(NET, **constants), [images])
    error = raised.value
    assert (error.code, error.where) == ("EK401", "net.a")
    assert error.what == f"NaN or infinity in the weights '{name}'"
    assert error.table.rows == ((name, "Conv", "net.a"),)


def test_a_graph_without_anything_to_store_is_refused(graph, images):
    with pytest.raises(EdgekitError, match="nothing that could be stored as integers"):
        calibrate(graph("y = Exp(x)"), [images])


def test_an_activation_that_overflows_is_named_by_its_layer(graph, images):
    model = graph("a = Mul(x, k) b = Mul(a, k) y = Relu(b)", k=np.full((4, 1, 1), 1e30))
    with pytest.raises(EdgekitError) as raised:
        calibrate(model, [images])
    assert raised.value.table.rows == (("y", "Relu", "net.y"),)
    assert "activations" in raised.value.what


def test_an_image_with_a_nan_is_named_by_the_input(net, images):
    broken = images.copy()
    broken[7, 2, 3, 3] = np.nan
    with pytest.raises(EdgekitError) as raised:
        calibrate(net, [broken])
    assert raised.value.code == "EK401"
    assert raised.value.table.rows[0][0] == "x"


def test_an_infinite_clip_bound_is_no_broken_weight(graph, images):
    model = graph("y = Clip(x, low, high)", low=np.float32(0), high=np.float32(np.inf))
    assert calibrate(model, [images])["y"].min == 0


def test_memory_does_not_grow_with_the_images():
    rng, peaks = np.random.default_rng(0), []
    for count in (40, 160):
        tracemalloc.start()
        observer = ValueObserver(True, 1)
        for _ in range(count):
            observer.observe(rng.normal(size=(1, 8, 32, 32)).astype(np.float32))
        observer.result()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("elements", [1, 100, 2048, 2049, 8 * 32 * 32, 16 * 112 * 112, 576 * 7 * 7])
def test_a_stride_leaves_few_enough_elements_of_every_column(elements):
    stride = choose_stride(elements)
    assert np.gcd(stride, elements) == 1
    assert len(range(0, elements, stride)) <= SAMPLES_PER_MAP
    if elements > SAMPLES_PER_MAP:
        assert len(range(0, elements, stride)) > SAMPLES_PER_MAP / 2


def test_a_constant_among_shared_operands_counts_with_its_own_bounds(graph, images):
    model = graph("y = Concat<axis=1>(x, k)", k=np.full((1, 1, 6, 6), 50.0))
    ranges = calibrate(model, [images])
    merged = merge([values_of(model)[name] for name in ("x", "k")], ranges)
    assert (merged.min, merged.max) == (ranges["x"].min, 50.0)


def test_int16_has_headroom_and_int8_what_loses_least(graph):
    values = values_of(graph("y = Relu(x)"))
    seen = {"x": Range(-1.0, 3.0)}
    assert choose([values["x"]], seen, "int16").span[1] == pytest.approx(HEADROOM * 3.0)
    assert choose([values["x"]], seen, "int8") == choose_int8(-1.0, 3.0)


def test_a_vector_has_a_headroom_of_its_own(graph):
    values = values_of(graph("y = GlobalAveragePool(x)"))
    assert choose([values["x"]], {"x": Range(-1.0, 3.0)}, "int16").span[1] == pytest.approx(HEADROOM * 3.0)
    assert choose([values["y"]], {"y": Range(-1.0, 3.0)}, "int16").span[1] == pytest.approx(VECTOR_HEADROOM * 3.0)


def test_headroom_ends_at_the_bound_of_a_clip(graph):
    values = values_of(graph("y = Clip(x, low, high)", low=np.float32(0), high=np.float32(6)))
    assert choose([values["y"]], {"y": Range(0.0, 2.0)}, "int16").span[1] == pytest.approx(6.0)
    assert choose([values["y"]], {"y": Range(0.0, 0.5)}, "int16").span[1] == pytest.approx(HEADROOM * 0.5)


@pytest.mark.parametrize("shape", [(1, 6, 5, 7), (1, 35, 6), (35, 6), (1, 6, 1, 1), (1, 7, 60, 61), (3000, 4)])
def test_an_error_counts_against_the_energy_of_its_position(shape):
    values = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    axis = 1 if len(shape) == 4 else -1
    energy = np.square(values, dtype=np.float64).sum(axis, keepdims=True)
    expected = np.broadcast_to(1 / (energy + energy.mean()), shape).reshape(-1)
    sample = Sample.of(shape)
    assert np.allclose(sample.weigh(values), expected[sample.chosen], rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_map_without_energy_or_with_nan_counts_as_it_is(value):
    shape = (1, 2, 3, 3)
    assert np.array_equal(Sample.of(shape).weigh(np.full(shape, value, np.float32)), np.ones(18))


def test_the_weights_follow_the_elements_into_the_histogram(net, images):
    seen = calibrate(net, [images])["r"]
    assert np.array_equal(seen.weighted.counts > 0, seen.histogram.counts > 0)
    assert seen.weighted.exponent == seen.histogram.exponent
