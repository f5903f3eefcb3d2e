"""The clipping range of a value: the one whose int8 storage loses least.

Min-max spends the 256 levels on whatever was rarest; cutting the tails costs those few elements and sharpens the rest.
Where the balance lies is measured per tensor, on its histogram, not chosen by a percentile.

    error(low, high) = sum over elements of (x - stored(x))^2
                     = clipped tails:  (x - high)^2 above, (low - x)^2 below
                     + near zero:      x^2 where |x| < step / 2, which is stored as 0
                     + the rest:       step^2 / 12, the variance of a rounding error

All three are differences of cumulative moments, so a grid of candidates costs one look-up each.
Source: the MSE criterion of Nagel et al. 2021, arXiv:2106.08295, section 3.1.

The other criteria that are in use (`Criterion`) read the same histogram, so all of them are independent of the order of
the images and need one calibration between them:

    min-max      the observed bounds
    percentile   cuts a hundredth of a percent of the elements at either end
    entropy      the least Kullback-Leibler divergence between the elements and what is stored of them (Migacz 2017,
                 "8-bit inference with TensorRT", GTC)
    relative     least squared error too, each element's divided by the energy of its position (calibrate.Sample)
"""

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from edgekit.quant.observers import BINS, Histogram, Range
from edgekit.recipe import Criterion

Grid = NDArray[np.float64]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)

# Share of the elements that "percentile" cuts at each end.
TAIL = 1e-4
LEVELS = 256

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


def clip_range(observed: Range, criterion: Criterion = "mse") -> tuple[float, float]:
    """The (low, high) within the observed range, holding zero, that the criterion finds best for int8.

    Bounds are returned as they are where no histogram was kept.
    """
    low, high = min(observed.min, 0.0), max(observed.max, 0.0)
    if observed.histogram is None or low == high or criterion == "min-max":
        return low, high
    if criterion == "percentile":
        return cut_tails(observed.histogram, low, high)
    if criterion == "entropy":
        return keep_information(observed.histogram, low, high)
    elements = observed.weighted if criterion == "relative" and observed.weighted is not None else observed.histogram
    return lose_least(elements, low, high)


def cut_tails(histogram: Histogram, low: float, high: float) -> tuple[float, float]:
    """The bounds between which all but TAIL of the elements lie, at either end."""
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    edges = histogram.centers + histogram.width / 2
    first, last = (int(np.searchsorted(share, cut)) for cut in (TAIL, 1 - TAIL))
    below = float(edges[min(first, BINS - 1)] - histogram.width)
    return max(low, min(below, 0.0)), min(high, max(float(edges[min(last, BINS - 1)]), 0.0))


def keep_information(histogram: Histogram, low: float, high: float) -> tuple[float, float]:
    """The bounds of least divergence KL(elements | what 256 levels keep of them), the upper one chosen first."""
    factors: list[float] = SHRINK.tolist()
    chosen = high * min(factors, key=lambda factor: divergence(histogram, low, high * factor))
    return low * min(factors, key=lambda factor: divergence(histogram, low * factor, chosen)), chosen


def divergence(histogram: Histogram, low: float, high: float) -> float:
    """KL(P | Q) in nats: P counts the elements, tails moved into the end bins; Q spreads each level over its bins."""
    edge = [int(np.clip(np.rint(bound / histogram.width) + BINS // 2, 0, BINS)) for bound in (low, high)]
    inside = histogram.counts[edge[0] : edge[1]].astype(np.float64)
    if len(inside) < LEVELS or not inside.any():
        return np.inf  # fewer bins than levels: nothing is lost, and nothing is said about what lies outside
    true = inside.copy()
    true[0] += histogram.counts[: edge[0]].sum()
    true[-1] += histogram.counts[edge[1] :].sum()
    level = np.arange(len(inside)) * LEVELS // len(inside)
    filled = inside > 0
    kept = np.bincount(level, inside, LEVELS) / np.maximum(np.bincount(level, filled, LEVELS), 1)
    model = np.where(filled, kept[level], 0.0)
    p, q = true / true.sum(), model / model.sum()
    seen = p > 0
    return float(np.sum(p[seen] * np.log(p[seen] / np.maximum(q[seen], 1e-12))))


def lose_least(histogram: Histogram, low: float, high: float) -> tuple[float, float]:
    """The bounds of least squared error."""
    lows: Grid = low * SHRINK if low < 0 else np.zeros(1)
    highs: Grid = high * SHRINK if high > 0 else np.zeros(1)
    error = measure_error(Moments.of(histogram), lows[:, None], highs[None, :])
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
