"""Accuracy with its sampling error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.verify.accuracy import Share, accuracy, rank_of_label, wilson


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I, method 3
        (81, 263, 25.53, 36.62),
        (15, 148, 6.24, 16.05),
        (0, 20, 0.00, 16.11),
        (1, 29, 0.61, 17.18),
        # 50 % of 100: 0.5 +- 1.959964 * sqrt(0.25/100 + z^2/40000) / (1 + z^2/100)
        (50, 100, 40.38, 59.62),
        (10, 10, 72.25, 100.0),
    ],
)
def test_wilsons_interval_has_its_published_values(correct, total, low, high):
    found = wilson(correct, total)
    assert found.percent == pytest.approx(100 * correct / total)
    assert (found.low, found.high) == (pytest.approx(low, abs=0.005), pytest.approx(high, abs=0.005))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(1, 5000), st.data())
def test_an_interval_holds_the_share_stays_inside_and_mirrors(total, data):
    correct = data.draw(st.integers(0, total))
    found, mirrored = wilson(correct, total), wilson(total - correct, total)
    assert 0 <= found.low <= found.percent + 1e-9 <= found.high + 2e-9 <= 100 + 3e-9
    assert found.low == pytest.approx(100 - mirrored.high, abs=1e-9)


def test_more_images_give_a_narrower_interval():
    widths = [wilson(n // 2, n).high - wilson(n // 2, n).low for n in (10, 100, 1000, 10_000)]
    assert widths == sorted(widths, reverse=True)
    assert widths[1] / widths[3] == pytest.approx(10, rel=0.05)


def test_a_share_reads_with_its_interval():
    assert str(Share(82.5, 79.123, 85.456)) == "82.50 %  (95 % interval 79.12 to 85.46)"


def test_a_rank_counts_the_classes_above_the_right_one():
    scores = np.array([[0.1, 0.9, 0.5], [3.0, 2.0, 1.0], [0.0, -1.0, 5.0]], np.float32)
    assert list(rank_of_label(scores, np.array([1, 2, 0]))) == [0, 2, 1]


def test_equal_scores_rank_by_class_index_as_argmax_does():
    scores = np.zeros((3, 3), np.float32)
    assert list(rank_of_label(scores, np.array([0, 1, 2]))) == [0, 1, 2]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_a_rank_of_zero_is_what_argmax_says(seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 4, (20, 6)).astype(np.float32), rng.integers(0, 6, 20)
    ranks = rank_of_label(scores, labels)
    assert np.array_equal(ranks == 0, scores.argmax(1) == labels)
    order = np.argsort(-scores, axis=1, kind="stable")
    assert np.array_equal(ranks, [list(row).index(label) for row, label in zip(order, labels, strict=True)])


def test_top1_and_top5_count_ranks():
    found = accuracy(np.array([0, 0, 1, 4, 5, 9, 0, 2, 3, 100]))
    assert (found.images, found.top1.percent, found.top5.percent) == (10, 30.0, 70.0)
    assert found.document()["top1"]["percent"] == 30.0
    assert found.top1 == wilson(3, 10)
