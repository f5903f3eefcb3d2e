"""Observers: the same answer for any order and any batching, and the same memory for any number of images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.quant.observers import (
    BINS,
    SMALLEST_EXPONENT,
    ChannelObserver,
    HistogramObserver,
    MeanObserver,
    MinMaxObserver,
    Range,
    find_exponent,
)

few = settings(derandomize=True, deadline=None, max_examples=40)
sizes = st.floats(2.0**-40, 2.0**60, width=32)  # beyond 2^-100 of each other float32 loses the sign of the smaller
floats = st.one_of(st.just(0.0), sizes, sizes.map(lambda size: -size))
chunks = st.lists(st.lists(floats, min_size=1, max_size=8), min_size=1, max_size=6)


def histogram(parts):
    observer = HistogramObserver()
    for part in parts:
        observer.observe(np.array(part, np.float32))
    return observer.result()


def same(first, second):
    return first.exponent == second.exponent and np.array_equal(first.counts, second.counts)


@few
@given(chunks, st.randoms(use_true_random=False))
def test_a_histogram_depends_on_the_elements_alone(parts, random):
    whole = histogram([[value for part in parts for value in part]])
    shuffled = [list(part) for part in parts]
    random.shuffle(shuffled)
    assert same(histogram(parts), whole)
    assert same(histogram(shuffled), whole)
    assert whole.counts.sum() == sum(map(len, parts))


@few
@given(chunks)
def test_every_element_is_counted_in_the_bin_that_holds_it(parts):
    values = np.array([value for part in parts for value in part], np.float32)
    found = histogram(parts)
    for index in np.flatnonzero(found.counts):
        low = (int(index) - BINS // 2) * found.width
        inside = (values.astype(np.float64) >= low) & (values.astype(np.float64) < low + found.width)
        assert inside.sum() == found.counts[index]


@few
@given(st.lists(floats, min_size=1, max_size=5), st.lists(floats, min_size=1, max_size=5))
def test_adding_histograms_is_the_histogram_of_both(first, second):
    assert same(histogram([first]) + histogram([second]), histogram([first + second]))
    assert same(histogram([second]) + histogram([first]), histogram([first + second]))


@few
@given(st.floats(2.0**-80, 2.0**120, width=32))
def test_int8_has_four_bins_for_each_of_its_steps(largest):
    width = 2.0 ** find_exponent(largest)
    assert largest < BINS / 2 * width
    assert largest / width >= BINS / 4


@pytest.mark.parametrize("largest", [0.0, 2.0**-140, 1e-45])
def test_zeros_and_the_smallest_numbers_have_a_finite_width(largest):
    assert find_exponent(largest) == SMALLEST_EXPONENT
    assert histogram([[largest, -largest]]).counts.sum() == 2


def test_memory_does_not_grow_with_what_was_seen():
    observer, rng = HistogramObserver(), np.random.default_rng(0)
    for scale in (1, 1e-3, 1e6, 1e-9):
        observer.observe(rng.normal(0, scale, 5000).astype(np.float32))
    assert observer.result().counts.shape == (BINS,)
    assert observer.result().counts.sum() == 20_000
    assert HistogramObserver().result() is None


def test_bounds_are_over_everything_and_a_nan_stays():
    observer = MinMaxObserver()
    for values in ([3.0, -1.0], [0.5], [7.0, -2.0]):
        observer.observe(np.array(values, np.float32))
    assert observer.result() == Range(-2.0, 7.0)
    observer.observe(np.array([np.nan, 1.0], np.float32))
    observer.observe(np.array([100.0], np.float32))
    assert np.isnan(observer.result().max)
    assert np.isnan(observer.result().min)


def test_means_of_a_matrix_with_a_row_for_each_window_are_per_column():
    rows, observer = np.arange(12, dtype=np.float32).reshape(4, 3), MeanObserver()
    observer.observe(rows, 1)
    np.testing.assert_array_equal(observer.result(), rows.mean(0))


@pytest.mark.parametrize("axis", [1, -1])
def test_means_are_per_channel_over_images_and_positions(axis):
    maps = np.random.default_rng(0).normal(2, 3, (5, 3, 4, 6)).astype(np.float32)
    observer = MeanObserver()
    for each in maps:
        observer.observe(each[None], axis)
    others = tuple(i for i in range(4) if i != axis % 4)
    assert np.allclose(observer.result(), maps.astype(np.float64).mean(others), rtol=1e-6)
    assert MeanObserver().result() is None


def test_ranges_that_share_parameters_are_united():
    first, second = Range(-1.0, 2.0, histogram([[-1.0, 2.0]])), Range(-3.0, 1.0, histogram([[-3.0, 1.0]]))
    both = first | second
    assert (both.min, both.max) == (-3.0, 2.0)
    assert same(both.histogram, histogram([[-1.0, 2.0, -3.0, 1.0]]))
    assert same((first | Range(0.0, 9.0)).histogram, first.histogram)


def test_channels_keep_bounds_of_their_own():
    observer = ChannelObserver()
    for image in np.array([[[[1.0, -2.0]], [[5.0, 4.0]]], [[[0.5, 3.0]], [[6.0, 4.5]]]], np.float32):
        observer.observe(image[None])
    assert observer.result().tolist() == [[-2.0, 4.0], [3.0, 6.0]]
