"""The clipping range is the one whose int8 storage measurably loses least."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.quant.clipping import CRITERIA, SHRINK, Moments, clip_range, divergence, measure_error
from edgekit.quant.observers import BINS, HistogramObserver, Range
from edgekit.quant.parameters import choose_int8


def observed(values):
    observer = HistogramObserver()
    observer.observe(np.asarray(values, np.float32))
    return Range(float(np.min(values)), float(np.max(values)), observer.result())


def brute_force(histogram, low, high):
    """The module's formula, element by element; elements lie in the middle of their bin, bounds on bin edges."""

    def edge(bound):
        return round(bound / histogram.width) * histogram.width

    step, total = (high - low) / 255, 0.0
    for x, count in zip(histogram.centers, histogram.counts, strict=True):
        if x < edge(low):
            total += count * (x - low) ** 2
        elif x > edge(high):
            total += count * (x - high) ** 2
        elif edge(max(-step / 2, low)) < x < edge(min(step / 2, high)):
            total += count * x**2
        else:
            total += count * step**2 / 12
    return total


def stored_error(values, low, high):
    params = choose_int8(low, high)
    stored = params.dequantize(params.quantize(values)).astype(np.float64)
    return float(np.square(stored - values).sum())


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=40).filter(any),
    st.floats(0, 6),
    st.floats(0.1, 6),
)
def test_the_formula_equals_a_sum_over_the_elements(values, below, high):
    histogram = observed(values).histogram
    found = measure_error(Moments.of(histogram), np.array([-below]), np.array([high]))
    assert found == pytest.approx(brute_force(histogram, -below, high), rel=1e-9, abs=1e-9)


SAMPLES = {
    "gaussian": lambda rng: rng.normal(0, 1, 20_000),
    "shifted": lambda rng: rng.normal(2, 1, 20_000),
    "laplace": lambda rng: rng.laplace(0, 1, 20_000),
    "relu": lambda rng: np.maximum(rng.normal(0, 1, 20_000), 0),
    "one outlier": lambda rng: np.append(rng.normal(0, 1, 20_000), 40.0),
    "negative": lambda rng: -rng.gamma(2, 1, 20_000),
    "uniform": lambda rng: rng.uniform(-1, 3, 20_000),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_measured_error_is_the_error_of_real_storage(kind):
    values = SAMPLES[kind](np.random.default_rng(0)).astype(np.float32)
    seen = observed(values)
    for shrink in (1.0, 0.8, 0.5):
        low, high = min(seen.min, 0) * shrink, max(seen.max, 0) * shrink
        found = measure_error(Moments.of(seen.histogram), np.array([low]), np.array([high]))[0]
        assert found == pytest.approx(stored_error(values, low, high), rel=0.1), shrink


@pytest.mark.parametrize("kind", SAMPLES)
def test_no_other_candidate_stores_the_elements_much_better(kind):
    values = SAMPLES[kind](np.random.default_rng(1)).astype(np.float32)
    seen = observed(values)
    chosen = stored_error(values, *clip_range(seen))
    candidates = SHRINK[::4]
    best = min(stored_error(values, min(seen.min, 0) * a, max(seen.max, 0) * b) for a in candidates for b in candidates)
    assert chosen <= 1.05 * best


def test_an_outlier_among_many_is_clipped_and_a_uniform_range_is_not():
    rng = np.random.default_rng(0)
    many = np.append(rng.normal(0, 1, 1_000_000), 40.0)  # few elements would rather keep it whole
    assert 5 < clip_range(observed(many))[1] < 30
    low, high = clip_range(observed(SAMPLES["uniform"](rng)))
    assert (low, high) == pytest.approx((-1, 3), rel=0.04)


@pytest.mark.parametrize(("low", "high"), [(1.0, 5.0), (-5.0, -1.0), (-2.0, 3.0)])
def test_the_range_holds_zero_and_never_grows(low, high):
    found = clip_range(observed(np.linspace(low, high, 500)))
    assert min(low, 0) <= found[0] <= 0 <= found[1] <= max(high, 0)


def test_bounds_without_a_histogram_are_taken_as_they_are():
    assert clip_range(Range(-3.0, 1.0)) == (-3.0, 1.0)
    assert clip_range(Range(2.0, 5.0)) == (0.0, 5.0)


def test_a_value_that_is_always_zero_has_an_empty_range():
    assert clip_range(observed(np.zeros(10))) == (0.0, 0.0)


def test_cumulative_sums_span_every_bin():
    moments = Moments.of(observed([1.0, 2.0, -4.0]).histogram)
    assert moments.count.shape == (BINS + 1,)
    assert (moments.count[0], moments.count[-1]) == (0, 3)
    assert moments.first[-1] == pytest.approx(-1, abs=3 * moments.width)


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_stays_within_the_observed_range_and_holds_zero(kind, criterion):
    seen = observed(SAMPLES[kind](np.random.default_rng(2)).astype(np.float32))
    low, high = clip_range(seen, criterion)
    assert min(seen.min, 0) <= low <= 0 <= high <= max(seen.max, 0)
    assert high > low


@pytest.mark.parametrize("criterion", CRITERIA)
def test_no_criterion_depends_on_the_order(criterion):
    values = SAMPLES["laplace"](np.random.default_rng(3)).astype(np.float32)
    assert clip_range(observed(values), criterion) == clip_range(observed(np.sort(values)), criterion)


def test_min_max_keeps_an_outlier_and_the_others_cut_it():
    values = np.append(np.random.default_rng(0).normal(0, 1, 1_000_000), 40.0).astype(np.float32)
    assert clip_range(observed(values), "min-max")[1] == 40.0
    assert all(clip_range(observed(values), c)[1] < 30 for c in CRITERIA if c != "min-max")


def test_a_percentile_cuts_its_share_of_the_elements():
    values = np.random.default_rng(0).normal(0, 1, 1_000_000).astype(np.float32)
    low, high = clip_range(observed(values), "percentile")
    assert np.mean(values < low) == pytest.approx(1e-4, rel=0.2)
    assert np.mean(values > high) == pytest.approx(1e-4, rel=0.2)


def test_entropy_is_least_where_the_levels_follow_the_elements():
    histogram = observed(np.random.default_rng(0).normal(0, 1, 1_000_000)).histogram
    assert divergence(histogram, -4, 4) < divergence(histogram, -1.5, 1.5)
