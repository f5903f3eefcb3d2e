"""What is said of timings, on made-up ones: no clock is asked here."""

import numpy as np
import pytest

from edgekit.bench.statistics import (
    MAX_DRIFT,
    MAX_HALF_WIDTH,
    median_interval,
    outlier_share,
    steady_drift,
    summarize,
)


def rounds(seed=0, *, count=5, runs=100, median=10.0, noise=0.005, between=0.002):
    """Timings of `count` processes with noise inside and between them, as fractions of the median."""
    random = np.random.default_rng(seed)
    shifts = 1 + between * random.standard_normal(count)
    return [median * shift * (1 + noise * random.standard_normal(runs)) for shift in shifts]


def test_quantiles_are_those_of_all_runs_together():
    summary = summarize([[1.0, 2.0, 3.0], [4.0, 5.0]])
    assert (summary.runs, summary.rounds) == (5, 2)
    assert (summary.min_ms, summary.p50_ms, summary.max_ms, summary.mean_ms) == (1.0, 3.0, 5.0, 3.0)
    assert summary.p90_ms == pytest.approx(4.6)
    assert summary.iqr_ms == 2.0


def test_a_99th_percentile_needs_a_hundred_runs():
    assert summarize([[1.0] * 99]).p99_ms is None
    assert summarize([[1.0] * 100]).p99_ms == 1.0


def test_no_timings_are_an_error():
    with pytest.raises(ValueError, match="no timings"):
        summarize([[], []])


def test_the_same_timings_give_the_same_interval():
    assert summarize(rounds()) == summarize(rounds())


def test_the_interval_holds_the_true_median_nearly_always():
    held = 0
    for seed in range(40):
        low, high = median_interval(rounds(seed, count=10))
        held += low <= 10.0 <= high
    assert held >= 34  # a percentile bootstrap over ten rounds is a little too narrow


def test_the_interval_holds_the_median_it_is_about_even_where_runs_are_few_and_lopsided():
    few = [[1.06, 1.09, 1.06, 2.09, 1.03], [1.03, 2.09, 2.06, 2.04, 1.05]]
    low, _ = median_interval([np.array(part) for part in few])
    summary = summarize(few)
    assert summary.p50_ms == summary.low_ms < low
    assert summary.p50_ms < summary.high_ms


def test_rounds_that_disagree_widen_the_interval_as_runs_inside_one_cannot():
    alike, apart = summarize(rounds(between=0.0)), summarize(rounds(between=0.05))
    assert apart.high_ms - apart.low_ms > 5 * (alike.high_ms - alike.low_ms)
    assert not alike.too_noisy
    assert apart.too_noisy
    assert (apart.high_ms - apart.low_ms) / (2 * apart.p50_ms) > MAX_HALF_WIDTH
    assert apart.noise[0].startswith("the median is known to ±")


def test_a_few_outliers_are_counted_and_many_are_noise():
    calm = np.tile([9.9, 10.0, 10.1], 30)
    few, many = calm.copy(), calm.copy()
    few[:3], many[::8] = 50.0, 50.0
    assert outlier_share(few) == pytest.approx(3 / 90)
    assert not summarize([few]).too_noisy
    assert outlier_share(many) > 0.10
    assert "outliers" in " ".join(summarize([many]).noise)


def test_a_device_that_heats_up_drifts():
    warming = 10 * (1 + np.linspace(0, 0.2, 300)) * (1 + 0.01 * np.random.default_rng(0).standard_normal(300))
    assert steady_drift(warming) == pytest.approx(0.13, abs=0.02)
    assert "slower while measured" in " ".join(summarize([warming]).noise)


def test_drift_is_what_a_sustained_run_looks_for():
    warming = np.linspace(10, 12, 300)
    assert summarize([warming], may_drift=True).drift > MAX_DRIFT
    assert "while measured" not in " ".join(summarize([warming], may_drift=True).noise)


def test_a_single_disturbance_is_no_drift():
    disturbed = np.full(300, 10.0)
    disturbed[100:130] = 20.0
    assert steady_drift(disturbed) == 0.0
    assert steady_drift(np.full(300, 10.0)) == 0.0
    assert steady_drift(np.linspace(1, 2, 10)) == 0.0  # too few to say


@pytest.mark.parametrize("seed", range(5))
def test_a_quiet_device_is_believed(seed):
    summary = summarize(rounds(seed))
    assert not summary.too_noisy
    assert summary.low_ms <= summary.p50_ms <= summary.high_ms
