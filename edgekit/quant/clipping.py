"""The clipping range of a value: the one whose int8 storage loses least.

Min-max spends the 256 levels on whatever was rarest; cutting the tails costs those few elements and sharpens the rest.
Where the balance lies is measured per tensor, on its histogram, not chosen by a percentile.

    error(low, high) = sum over elements of (x - stored(x))^2
                     = clipped tails:  (x - high)^2 above, (low - x)^2 below
                     + near zero:      x^2 where |x| < step / 2, which is stored as 0
                     + the rest:       step^2 / 12, the variance of a rounding error

All three are differences of cumulative moments, so a grid of candidates costs one look-up each.
Source: the MSE criterion of Nagel et al. 2021, arXiv:2106.08295, section 3.1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.quant.observers import BINS, Histogram, Range

Grid = NDArray[np.float64]

# Candidate bounds: the observed one times 0.97^k. 0.97^80 = 0.09: a range ten times smaller than the observed one.
SHRINK: Grid = 0.97 ** np.arange(81.0)


@dataclass(frozen=True, slots=True)
class Moments:
    """Cumulative sums over bins, f64[BINS + 1]: number, sum and sum of squares of the elements below a bin."""

    count: Grid
    first: Grid
    second: Grid
    width: float

    @classmethod
    def of(cls, histogram: Histogram) -> "Moments":
        counts, centers = histogram.counts.astype(np.float64), histogram.centers

        def cumulate(terms: Grid) -> Grid:
            return np.concatenate([[0.0], np.cumsum(terms)])

        return cls(cumulate(counts), cumulate(counts * centers), cumulate(counts * centers**2), histogram.width)

    def below(self, bound: Grid) -> tuple[Grid, Grid, Grid]:
        """The three sums over the elements below each bound."""
        index = np.clip(np.rint(bound / self.width) + BINS // 2, 0, BINS).astype(np.int64)
        return self.count[index], self.first[index], self.second[index]


def clip_range(observed: Range) -> tuple[float, float]:
    """The (low, high) within the observed range, holding zero, at which int8 has the least squared error."""
    low, high = min(observed.min, 0.0), max(observed.max, 0.0)
    if observed.histogram is None or low == high:
        return low, high
    lows: Grid = low * SHRINK if low < 0 else np.zeros(1)
    highs: Grid = high * SHRINK if high > 0 else np.zeros(1)
    error = measure_error(Moments.of(observed.histogram), lows[:, None], highs[None, :])
    row, column = np.unravel_index(int(error.argmin()), error.shape)
    return float(lows[row]), float(highs[column])


def measure_error(moments: Moments, low: Grid, high: Grid) -> Grid:
    """Summed squared error of int8 storage of the histogram's elements; low and high broadcast against each other."""
    step = (high - low) / 255
    total = moments.count[-1], moments.first[-1], moments.second[-1]
    below_low, below_high = moments.below(low), moments.below(high)
    tail_low = below_low[2] - 2 * low * below_low[1] + low**2 * below_low[0]
    above = [everything - part for everything, part in zip(total, below_high, strict=True)]
    tail_high = above[2] - 2 * high * above[1] + high**2 * above[0]
    # Half a step beyond a bound at zero there is nothing: the tail sums already hold those elements.
    near_left, near_right = moments.below(np.maximum(-step / 2, low)), moments.below(np.minimum(step / 2, high))
    near_zero = near_right[2] - near_left[2]
    rest = below_high[0] - below_low[0] - (near_right[0] - near_left[0])
    error: Grid = np.maximum(tail_low, 0) + np.maximum(tail_high, 0) + near_zero + rest * step**2 / 12
    return error
