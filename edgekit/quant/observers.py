"""What is remembered of an activation while calibration images stream by.

The observers need the same memory for ten images as for ten thousand, and give the same answer for any order and any
batching of the images: counts, minima and maxima commute, a moving average does not.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BINS = 4096
# Where halving stops: 2^-100 and its inverse are both float32 numbers.
SMALLEST_EXPONENT = -100


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of a value's elements in bins of equal width around zero.

    Bin i holds the elements in [(i - BINS/2) * 2^exponent, (i + 1 - BINS/2) * 2^exponent).

    Args:
        counts: i64[BINS]; f64[BINS] where elements count by a weight.
        exponent: log2 of the bin width.
    """

    counts: NDArray[np.int64] | NDArray[np.float64]
    exponent: int

    @property
    def width(self) -> float:
        return 2.0**self.exponent

    @property
    def centers(self) -> NDArray[np.float64]:
        """f64[BINS], the middle of each bin."""
        return (np.arange(BINS, dtype=np.float64) - BINS // 2 + 0.5) * self.width

    def widen(self, exponent: int) -> "Histogram":
        """The histogram that the same elements give at a larger bin width: halves are merged, exactly."""
        counts = self.counts
        for _ in range(min(exponent - self.exponent, BINS.bit_length())):
            pairs = counts.reshape(-1, 2).sum(axis=1)
            counts = np.zeros_like(self.counts)
            counts[BINS // 4 : 3 * BINS // 4] = pairs
        return Histogram(counts, max(exponent, self.exponent))

    def __add__(self, other: "Histogram") -> "Histogram":
        """The histogram of both sets of elements."""
        exponent = max(self.exponent, other.exponent)
        return Histogram(self.widen(exponent).counts + other.widen(exponent).counts, exponent)


@dataclass(frozen=True, slots=True)
class Range:
    """What calibration saw of one value.

    Args:
        min, max: over every element of every image.
        histogram: of a fixed subset of the elements of each image; None where only the bounds are known.
        weighted: of the same elements, each divided by the energy of its position (calibrate.Sample).
        channel_mean: f64[C], mean per channel over images and positions; None where no layer's bias depends on it.
        channel_bounds: f64[2, C], smallest and largest element per channel (axis 1), for equalization.
    """

    min: float
    max: float
    histogram: Histogram | None = field(default=None, repr=False)
    channel_mean: NDArray[np.float64] | None = field(default=None, repr=False)
    channel_bounds: NDArray[np.float64] | None = field(default=None, repr=False)
    weighted: Histogram | None = field(default=None, repr=False)

    def __or__(self, other: "Range") -> "Range":
        """The range of two values that are stored with one set of parameters."""
        low, high = min(self.min, other.min), max(self.max, other.max)
        weighted = add(self.weighted, other.weighted)
        return Range(low, high, add(self.histogram, other.histogram), weighted=weighted)


def add(first: Histogram | None, second: Histogram | None) -> Histogram | None:
    """The histogram of both, or of the one that there is."""
    return first + second if first is not None and second is not None else first or second


class MinMaxObserver:
    """Keeps the smallest and the largest element."""

    def __init__(self) -> None:
        self._min, self._max = np.inf, -np.inf

    def observe(self, values: NDArray[np.float32]) -> None:
        """Take in f32[...]. A NaN stays: it makes both bounds NaN."""
        self._min = float(np.minimum(self._min, values.min()))
        self._max = float(np.maximum(self._max, values.max()))

    def result(self) -> Range:
        return Range(self._min, self._max)


class ChannelObserver:
    """Keeps the smallest and the largest element of each channel (axis 1).

    Short rows are compared element by element with those before and reduced once, at the end: for 49 elements a
    channel, seven times faster than to reduce every image's.
    """

    LONG_ROW = 512

    def __init__(self) -> None:
        self._low: NDArray[np.float32] | None = None
        self._high: NDArray[np.float32] | None = None

    def observe(self, feature_map: NDArray[np.float32]) -> None:
        """Take in one image's feature map, f32[1, C, ...]; a vector without channels is one channel."""
        channels = feature_map.shape[1] if feature_map.ndim > 1 else 1
        low = high = feature_map.reshape(channels, -1)
        if low.shape[1] > self.LONG_ROW:
            low, high = low.min(axis=1, keepdims=True), high.max(axis=1, keepdims=True)
        if self._low is None or self._high is None:
            self._low, self._high = low.copy(), high.copy()
        else:
            np.minimum(self._low, low, out=self._low)
            np.maximum(self._high, high, out=self._high)

    def result(self) -> NDArray[np.float64] | None:
        """f64[2, C], or None before the first image. A NaN stays."""
        if self._low is None or self._high is None:
            return None
        return np.stack([self._low.min(axis=1), self._high.max(axis=1)]).astype(np.float64)


class MeanObserver:
    """Averages each channel. Order independent up to the rounding of a float64 sum of float32 means."""

    def __init__(self) -> None:
        self._sum: NDArray[np.float64] | None = None
        self._images = 0

    def observe(self, feature_map: NDArray[np.float32], axis: int) -> None:
        """Take in one image's feature map, f32[1, ...], with channels on `axis`."""
        # einsum sums rows three times faster than mean((2, 3)), which counts when every map is averaged. moveaxis takes
        # as long as that, and moves nothing behind an axis of one.
        first = axis == 1 and len(feature_map) == 1
        by_channel = feature_map if first else np.moveaxis(feature_map, axis, 0)
        rows = by_channel.reshape(feature_map.shape[axis], -1)
        mean = np.einsum("ci->c", rows).astype(np.float64) / rows.shape[1]
        self._sum = mean if self._sum is None else self._sum + mean
        self._images += 1

    def result(self) -> NDArray[np.float64] | None:
        """f64[C], or None before the first image."""
        return None if self._sum is None else self._sum / self._images


class HistogramObserver:
    """Counts elements in 4096 bins whose width is a power of two and doubles when an element falls outside.

    Doubling merges two whole bins into one, so the final counts depend on the elements alone, not on when the large
    ones came. At least 1024 bins, four for each int8 step, lie between zero and the largest element.
    """

    def __init__(self) -> None:
        self._histogram: Histogram | None = None
        self._weighted: Histogram | None = None

    def observe(self, values: NDArray[np.float32], weights: NDArray[np.float64] | None = None) -> None:
        """Take in f32[...] and what each of them counts beside its one, f64[...]; none with a NaN or infinity."""
        largest = float(np.abs(values).max(initial=0.0))
        if not np.isfinite(largest):
            return
        exponent = find_exponent(largest)
        if self._histogram is not None:
            exponent = max(exponent, self._histogram.exponent)
        index = np.floor(values.reshape(-1) * np.float32(2.0**-exponent)).astype(np.int32) + BINS // 2
        self._histogram = add(self._histogram, Histogram(np.bincount(index, minlength=BINS), exponent))
        if weights is not None:
            new = Histogram(np.bincount(index, weights, minlength=BINS), exponent)
            self._weighted = add(self._weighted, new)

    def result(self) -> Histogram | None:
        """The histogram so far, or None before the first element."""
        return self._histogram

    def weighted(self) -> Histogram | None:
        """The same with each element counted by its weight, where weights were given."""
        return self._weighted


def find_exponent(largest: float) -> int:
    """The smallest exponent e for which every |x| <= largest has a bin: largest < BINS/2 * 2^e."""
    if largest == 0.0:
        return SMALLEST_EXPONENT
    # frexp: largest = m * 2^e with m in [0.5, 1), hence largest < 2^e.
    return max(int(np.frexp(np.float32(largest))[1]) - (BINS // 2).bit_length() + 1, SMALLEST_EXPONENT)
