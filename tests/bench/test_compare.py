"""A comparison that knows noise, on made-up timings."""

import math

import numpy as np
import pytest

from edgekit.bench.compare import Timing, Verdict, chance, compare_counts, compare_timings
from edgekit.bench.statistics import summarize


def timing(seed, *, median=10.0, noise=0.01, between=0.004, count=5, control_ms=1.0):
    """A made-up bench: skewed noise as schedulers make it, and rounds that differ a little."""
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(count):
        shift = 1 + between * random.standard_normal()
        parts.append(median * shift * (1 + noise * random.gamma(1.0, 1.0, 60)))
    summary = summarize(parts)
    medians = tuple(float(np.median(part)) for part in parts)
    measured = summary.p50_ms, summary.low_ms, summary.high_ms, medians, summary.min_ms
    return Timing(*measured, noisy=summary.too_noisy, control_ms=control_ms)


def test_twenty_unchanged_benches_raise_no_alarm():
    baseline = timing(0)
    found = [compare_timings(timing(seed), baseline, 0.03).verdict for seed in range(1, 21)]
    assert found == [Verdict.same] * 20


def test_twenty_unchanged_benches_on_a_noisy_device_raise_no_alarm():
    baseline = timing(0, noise=0.2, between=0.05)
    found = {compare_timings(timing(seed, noise=0.2, between=0.05), baseline, 0.03).verdict for seed in range(1, 21)}
    assert found == {Verdict.too_noisy}


@pytest.mark.parametrize("seed", range(1, 21))
def test_five_percent_are_found_each_time(seed):
    found = compare_timings(timing(seed, median=10.5), timing(0), 0.03)
    assert found.verdict is Verdict.slower
    assert found.ratio == pytest.approx(1.05, abs=0.012)


def test_five_percent_less_are_a_success():
    assert compare_timings(timing(1, median=9.5), timing(0), 0.03).verdict is Verdict.faster


def test_one_percent_is_allowed():
    assert compare_timings(timing(1, median=10.1), timing(0), 0.03).verdict is Verdict.same


def test_a_noisy_bench_is_slower_when_even_its_fastest_run_is_far_off():
    quiet, noisy = timing(0), timing(1, median=25, noise=0.2, between=0.05)
    found = compare_timings(noisy, quiet, 0.03)
    assert found.verdict is Verdict.slower
    assert "even the fastest run takes 2." in found.reason
    less = compare_timings(timing(1, median=15, noise=0.2, between=0.05), quiet, 0.03)
    assert (less.verdict, less.reason) == (Verdict.too_noisy, "the bench was too noisy")


def test_a_noisy_baseline_judges_nothing():
    found = compare_timings(timing(1, median=8), timing(0, noise=0.2, between=0.05), 0.03)
    assert (found.verdict, found.reason) == (Verdict.too_noisy, "the baseline was too noisy")


def test_a_device_in_another_state_cannot_judge():
    found = compare_timings(timing(1, median=10.8, control_ms=1.08), timing(0), 0.03)
    assert found.verdict is Verdict.too_noisy
    assert "the device itself was 8.0% slower than then" in found.reason


def test_without_a_control_nothing_is_known_of_the_device():
    found = compare_timings(timing(1, median=10.8, control_ms=None), timing(0), 0.03)
    assert found.verdict is Verdict.slower


def test_few_rounds_cannot_prove_a_small_change():
    """Three against three can be in any order by chance in one of twenty benches."""
    found = compare_timings(timing(1, median=10.5, count=3), timing(0, count=3), 0.045)
    assert found.verdict in (Verdict.same, Verdict.too_noisy)


def test_counts_are_exact():
    assert compare_counts(1010, 1000, 0.002).verdict is Verdict.slower
    assert compare_counts(1001, 1000, 0.002).verdict is Verdict.same
    assert compare_counts(990, 1000, 0.002).verdict is Verdict.faster
    assert compare_counts(1010, 1000, 0.002).change == "+1.000%"


@pytest.mark.parametrize(
    ("higher", "lower", "expected"),
    [
        ([6, 7, 8, 9, 10], [1, 2, 3, 4, 5], 1 / 252),
        ([1, 2, 3, 4, 5], [6, 7, 8, 9, 10], 1.0),
        ([2, 4], [1, 3], 2 / 6),
        ([1, 1], [1, 1], 4 / 6),
    ],
)
def test_chance_is_the_exact_rank_sum_test(higher, lower, expected):
    assert chance(higher, lower) == pytest.approx(expected)


def test_the_interval_is_symmetric_for_ratios():
    found = compare_timings(timing(1), timing(0), 0.03)
    assert found.low is not None
    assert found.high is not None
    assert found.ratio is not None
    assert math.log(found.high / found.ratio) == pytest.approx(math.log(found.ratio / found.low))
