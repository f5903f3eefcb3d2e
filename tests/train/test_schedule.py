"""Schedules: shapes over the share of the run that is done, whatever its length."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.train.config import TrainConfig
from edgekit.train.schedule import input_size, learning_rate, share_of_rate

CONFIG = TrainConfig("net", Path("data"), learning_rate=0.4, input_size=(64, 64))


@pytest.mark.parametrize("schedule", ["cosine", "linear", "step"])
@pytest.mark.parametrize("steps", [15, 150, 3000])
def test_every_length_peaks_at_the_rate_and_has_the_same_shape(schedule, steps):
    config = replace(CONFIG, schedule=schedule)
    rates = [learning_rate(config, step, steps) for step in range(steps)]
    assert max(rates) == pytest.approx(0.4, rel=0.12)
    assert rates[-1] < 0.02 * 0.4 + 0.4 / steps
    half = share_of_rate(schedule, 0.05, 0.5)
    assert rates[steps // 2] / 0.4 == pytest.approx(half, abs=0.08)


def test_the_rate_rises_in_the_warm_up_and_falls_behind_it():
    rates = [share_of_rate("cosine", 0.1, done / 100) for done in range(101)]
    assert rates[:11] == pytest.approx([done / 10 for done in range(11)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0)


def test_the_step_schedule_falls_by_ten_at_thirds_and_at_eight_ninths():
    found = [share_of_rate("step", 0.0, done / 90) for done in (0, 29, 30, 59, 60, 79, 80, 89)]
    assert found == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_a_run_of_nothing_but_warm_up_does_not_divide_by_zero():
    assert share_of_rate("cosine", 1.0, 0.5) == 0.5
    assert share_of_rate("cosine", 1.0, 1.0) == 0


def test_the_first_half_is_small_where_that_is_asked_for_alone():
    assert [input_size(replace(CONFIG, epochs=4), epoch) for epoch in range(4)] == [(64, 64)] * 4
    small = replace(CONFIG, epochs=4, start_size=(48, 48))
    assert [input_size(small, epoch) for epoch in range(4)] == [(48, 48), (48, 48), (64, 64), (64, 64)]
