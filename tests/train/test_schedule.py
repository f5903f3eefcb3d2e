"""Learning rate and input size over a run."""

from itertools import pairwise
from pathlib import Path

import pytest

from edgekit.train import TrainConfig
from edgekit.train.schedule import input_size, learning_rate

STEPS = 10


def config(**chosen):
    return TrainConfig(model="any", data=Path("any"), learning_rate=1.0, **chosen)


def rates(chosen):
    return [learning_rate(chosen, step, STEPS) for step in range(chosen.epochs * STEPS)]


def test_the_rate_rises_holds_and_falls():
    found = rates(config(epochs=10, warmup_epochs=2, decay_epochs=4))
    assert found[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert set(found[19:60]) == {1.0}
    assert found[60:] == pytest.approx([(40 - step) / 40 for step in range(40)])


def test_the_last_step_still_learns_and_the_step_after_it_would_not():
    chosen = config(epochs=3, warmup_epochs=0, decay_epochs=2)
    assert rates(chosen)[-1] == pytest.approx(1 / 20)
    assert learning_rate(chosen, 30, STEPS) == 0


def test_without_rise_and_fall_the_rate_is_constant():
    assert set(rates(config(epochs=4, warmup_epochs=0, decay_epochs=0))) == {1.0}


def test_a_run_shorter_than_its_rise_and_fall_takes_the_smaller_of_both():
    found = rates(config(epochs=2, warmup_epochs=2, decay_epochs=20))
    assert found == pytest.approx([min((step + 1) / 20, (20 - step) / 200) for step in range(20)])
    assert max(found) < 0.1


def test_runs_that_differ_only_in_epochs_agree_until_the_shorter_one_falls():
    short, long = (rates(config(epochs=epochs, warmup_epochs=1, decay_epochs=2)) for epochs in (5, 9))
    assert short[:31] == long[:31]
    assert short[31] < long[31]


def test_the_input_grows_after_the_first_epochs():
    chosen = config(start_size=24, start_epochs=2, input_size=40)
    assert [input_size(chosen, epoch) for epoch in range(4)] == [24, 24, 40, 40]


def test_the_finish_falls_once_more_at_a_larger_input():
    chosen = config(epochs=2, finish_epochs=2, finish_size=80, finish_rate=0.5, input_size=64, start_epochs=0)
    found = [learning_rate(chosen, step, STEPS) for step in range(2 * STEPS, 4 * STEPS)]
    assert found[0] == 0.5
    assert all(before > after > 0 for before, after in pairwise(found))
    assert [input_size(chosen, epoch) for epoch in range(4)] == [64, 64, 80, 80]
    assert chosen.preprocess.crop == (80, 80)


def test_the_recipe_of_the_shipped_weights_is_the_default_but_for_its_finish():
    default = TrainConfig(model="mobilenet_v3_small", data=Path("train.zip"))
    assert (default.epochs, default.batch_size, default.learning_rate, default.weight_decay) == (48, 256, 0.003, 0.05)
    assert (default.start_size, default.start_epochs, default.input_size, default.stored_size) == (48, 24, 64, 32)
    assert (default.warmup_epochs, default.decay_epochs, default.smoothing, default.ema) == (2, 20, 0.1, 0.998)
    assert (default.finish_size, default.finish_rate, default.finish_ema) == (80, 0.001, 0.99)
