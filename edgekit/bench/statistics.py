"""What a set of timings says, and whether it says anything: quantiles, an interval, drift, and the verdict.

A bench is made of rounds, each in a process of its own: memory layout, caches and the scheduler differ from process to
process, so the spread between rounds is part of the uncertainty that timings inside one process do not show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

SEED = 0
RESAMPLES = 2000
MIN_P99_RUNS = 100
"""Below that a 99th percentile is the largest value by another name."""

MAX_HALF_WIDTH = 0.025
"""Widest believable interval of the median, as a fraction of it on either side."""

MAX_OUTLIERS = 0.10
"""More than that beyond Tukey's far fences is no outlier but a second mode."""

MAX_DRIFT = 0.05
DRIFT_BLOCKS = 9
DRIFT_RANK_CORRELATION = 0.8
FAR_FENCE = 3.0


@dataclass(frozen=True, slots=True)
class Summary:
    """Timings of one file on one device, all rounds together.

    Args:
        runs: how many timings; `rounds` how many processes they come from.
        p99_ms: None below MIN_P99_RUNS runs.
        iqr_ms: distance between the quartiles.
        low_ms, high_ms: 95 % bootstrap interval of the median, over rounds and blocks of runs inside them.
        outliers: share (0..1) of runs beyond three interquartile ranges from the quartiles.
        drift: how much slower (+) the last third was than the first, as a fraction, where the trend is steady; else 0.
        noise: why the median is not to be believed; empty when it is.
    """

    runs: int
    rounds: int
    p50_ms: float
    p90_ms: float
    p99_ms: float | None
    mean_ms: float
    min_ms: float
    max_ms: float
    iqr_ms: float
    low_ms: float
    high_ms: float
    outliers: float
    drift: float
    noise: tuple[str, ...] = ()

    @property
    def too_noisy(self) -> bool:
        return bool(self.noise)


def summarize(rounds: Sequence[Sequence[float]], *, may_drift: bool = False) -> Summary:
    """The summary of timings in milliseconds, each round in the order of its runs; ValueError for none.

    Args:
        may_drift: drift is what is looked for, as in a sustained run, and no reason for doubt.
    """
    parts = [np.asarray(part, np.float64) for part in rounds if len(part)]
    if not parts:
        raise ValueError("no timings")
    pooled = np.concatenate(parts)
    quartiles = np.quantile(pooled, [0.25, 0.5, 0.75])
    p50, (low, high) = float(quartiles[1]), median_interval(parts)
    # Blocks' medians are not quite about the median of all runs: where runs are few and lopsided, p50 can lie outside.
    low, high = min(low, p50), max(high, p50)
    outliers, drift = outlier_share(pooled), steady_drift(pooled)
    doubt = reasons_for_doubt((high - low) / (2 * p50) if p50 else 0.0, outliers, 0.0 if may_drift else drift)
    return Summary(
        runs=len(pooled),
        rounds=len(parts),
        p50_ms=p50,
        p90_ms=float(np.quantile(pooled, 0.90)),
        p99_ms=float(np.quantile(pooled, 0.99)) if len(pooled) >= MIN_P99_RUNS else None,
        mean_ms=float(pooled.mean()),
        min_ms=float(pooled.min()),
        max_ms=float(pooled.max()),
        iqr_ms=float(quartiles[2] - quartiles[0]),
        low_ms=low,
        high_ms=high,
        outliers=outliers,
        drift=drift,
        noise=doubt,
    )


def median_interval(parts: Sequence[Doubles]) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the median.

    Two stages: rounds are drawn with replacement, and inside a round blocks of neighbouring runs, whose timings are not
    independent. The seed is fixed: the same timings give the same interval.

    Source: Davison and Hinkley 1997, Bootstrap Methods and their Application, sections 3.8 and 8.2.
    """
    random = np.random.default_rng(SEED)
    slots = len(parts)
    redrawn = [_redrawn_medians(_block_medians(part), slots, random) for part in parts]  # each f64[RESAMPLES, slots]
    chosen = random.integers(slots, size=(RESAMPLES, slots))
    drawn = np.stack(redrawn)[chosen, np.arange(RESAMPLES)[:, None], np.arange(slots)]
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return float(low), float(high)


def _redrawn_medians(blocks: Doubles, slots: int, random: np.random.Generator) -> Doubles:
    """Medians of a round's blocks drawn with replacement, f64[RESAMPLES, slots]."""
    return np.stack([np.median(random.choice(blocks, (RESAMPLES, len(blocks))), axis=1) for _ in range(slots)], axis=1)


def _block_medians(part: Doubles) -> Doubles:
    """Medians of about sqrt(n) blocks of about sqrt(n) neighbours."""
    return np.array([np.median(block) for block in np.array_split(part, max(1, round(len(part) ** 0.5)))])


def outlier_share(samples: Doubles) -> float:
    """Share of samples beyond Tukey's far fences (1977, Exploratory Data Analysis, section 2D)."""
    low, high = np.quantile(samples, [0.25, 0.75])
    reach = FAR_FENCE * (high - low)
    return float(np.mean((samples < low - reach) | (samples > high + reach)))


def steady_drift(samples: Doubles) -> float:
    """How much slower the last third is than the first, as a fraction, if medians of blocks rise or fall steadily.

    A device that heats up drifts; one disturbed once does not. Steady: Spearman's rank correlation of the blocks'
    medians with time is at least DRIFT_RANK_CORRELATION in magnitude.
    """
    if len(samples) < 2 * DRIFT_BLOCKS:
        return 0.0
    medians = np.array([np.median(block) for block in np.array_split(samples, DRIFT_BLOCKS)])
    if np.ptp(medians) == 0.0:
        return 0.0
    ranks = medians.argsort().argsort()
    correlation = np.corrcoef(ranks, np.arange(DRIFT_BLOCKS))[0, 1]
    if abs(correlation) < DRIFT_RANK_CORRELATION:
        return 0.0
    third = DRIFT_BLOCKS // 3
    return float(np.median(medians[-third:]) / np.median(medians[:third]) - 1)


def reasons_for_doubt(half_width: float, outliers: float, drift: float) -> tuple[str, ...]:
    """Why a median is not to be believed, in words; empty when it is."""
    checks = (
        (half_width > MAX_HALF_WIDTH, f"the median is known to ±{half_width:.1%} only"),
        (outliers > MAX_OUTLIERS, f"{outliers:.0%} of the runs are outliers: something else runs there"),
        (abs(drift) > MAX_DRIFT, f"it got {abs(drift):.0%} {'slower' if drift > 0 else 'faster'} while measured"),
    )
    return tuple(reason for doubtful, reason in checks if doubtful)
