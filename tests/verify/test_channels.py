"""Channel by channel: what varies in float and is lost fails, whatever the rest does."""

import numpy as np
import pytest

from edgekit.target import Tolerance
from edgekit.verify.channels import EQUAL_DB, channel_axis, measure_channels
from edgekit.verify.parity import compare

RANDOM = np.random.default_rng(0)
GATE = Tolerance(min_sqnr_db=10.0)


def compared(reference, actual, gate=GATE, **options):
    named = {"y": reference.astype(np.float32)}, {"y": actual.astype(np.float32)}
    return compare(*named, name="file", reference_name="float", tolerance=gate, **options).worst


def detector(boxes=40.0, scores=0.05):
    """f64[n, 4 + 6, anchors]: boxes in pixels above scores in 0..1."""
    return np.concatenate([RANDOM.normal(80, boxes, (8, 4, 50)), RANDOM.uniform(0, 20 * scores, (8, 6, 50)) / 20], 1)


def test_a_number_that_moves_a_little_around_a_large_one_is_lost_as_a_constant():
    reference = 100 + RANDOM.normal(0, 0.2, (16, 3))
    found = compared(reference, np.full_like(reference, 100.0))
    assert not found.passed
    assert abs(found.sqnr_db) < 1


def test_scores_that_are_all_zero_beside_large_boxes_fail():
    reference = detector()
    ruined = reference.copy()
    ruined[:, 4:] = 0
    found = compared(reference, ruined)
    assert found.sqnr_db > 40
    assert (found.passed, found.channels, found.lost) == (False, 10, 6)
    assert found.gate.endswith("6 of 10 channels lost: error above their variation")


def test_scores_that_live_beside_large_boxes_pass():
    reference = detector()
    steps = reference.copy()
    steps[:, 4:] = np.rint(steps[:, 4:] * 255) / 255
    steps[:, :4] = np.rint(steps[:, :4])
    found = compared(reference, steps)
    assert (found.passed, found.lost) == (True, 0)
    assert found.channel_db > 5


def test_few_nearly_dead_channels_of_a_wide_map_may_be_lost():
    reference = RANDOM.normal(0, 1, (4, 200, 6, 6))
    reference[:, :3] *= 1e-3
    moved = np.rint(reference * 20) / 20
    assert compared(reference, moved).lost == 3
    assert compared(reference, moved).passed
    assert not compared(reference[:, :50], moved[:, :50]).passed


def test_what_varies_by_less_than_the_kernels_step_is_said_and_not_gated():
    reference = 1 / 1024 + RANDOM.normal(0, 1e-4, (4, 5, 64))
    actual = np.zeros_like(reference)
    assert not compared(reference, actual).passed
    found = compared(reference, actual, steps={"y": 1 / 256})
    assert (found.passed, found.lost, found.unheld) == (True, 0, 5)
    assert "varies by less than its kernel's step" in found.gate


def test_arithmetics_own_noise_is_no_variation():
    reference = np.ones((8, 4)) + RANDOM.normal(0, 1e-7, (8, 4))
    assert measure_channels(reference, reference[::-1]).count == 0


def test_classes_are_compared_as_classes_and_not_one_by_one():
    reference = RANDOM.normal(0, 1, (16, 4))
    reference[:, 3] = 1e-3 * RANDOM.normal(0, 1, 16)
    moved = np.rint(reference * 50) / 50
    assert compared(reference, moved, scores="y").passed
    assert not compared(reference, moved).passed


def test_equal_channels_have_no_lowest_figure():
    reference = RANDOM.normal(0, 1, (4, 3, 5, 5))
    assert measure_channels(reference, reference).lowest_db == EQUAL_DB


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((8,), None), ((8, 4), 1), ((8, 85, 25200), 1), ((8, 25200, 85), 2), ((8, 3, 20, 20), 1), ((8, 3, 20, 20, 85), 4)],
)
def test_channels_lie_along_the_axis_that_holds_the_kinds_of_values(shape, axis):
    assert channel_axis(shape) == axis


def test_a_gate_that_asks_nothing_of_channels_lets_them_go():
    reference = detector()
    assert compared(reference, np.zeros_like(reference), Tolerance(max_lost=None)).passed
