"""MLPerf's single-stream rules: how long to measure, and a 90th percentile that holds with 99 % confidence.

Source: MLPerf Inference Rules, appendix "Early Stopping Criterion"; MLPerf Mobile: 1024 samples and 60 seconds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

MIN_SAMPLES = 1024
MIN_TIME_S = 60.0
COOLDOWN_S = 300.0
PERCENTILE = 0.90
CONFIDENCE = 0.99


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """MLPerf's figure for single stream.

    Args:
        queries: how many runs it comes from.
        discarded: how many of the slowest runs are left out.
        p90_ms: the slowest run that stays: with 99 % confidence no less than the true 90th percentile. None while there
            are fewer runs than `needed`.
        needed: the least number of runs that allow the claim.
    """

    queries: int
    discarded: int
    p90_ms: float | None
    needed: int


def early_stopping(samples_ms: Sequence[float]) -> EarlyStopping:
    """The early-stopping estimate of the 90th percentile from all runs in milliseconds."""
    queries, over = len(samples_ms), allowed_overlatency(len(samples_ms))
    estimate = sorted(samples_ms)[queries - over] if over else None
    return EarlyStopping(queries, max(0, over - 1), estimate, fewest_queries(1))


def allowed_overlatency(queries: int) -> int:
    """The most runs t over a bound that still prove it: P(Binomial(queries, 0.1) <= t) <= 0.01.

    If more than a tenth of all runs were over the bound, so few among these would be a one-in-a-hundred event.
    """
    total, passed = 0.0, -1
    for over in range(queries + 1):
        total += _binomial(queries, over)
        if total > 1 - CONFIDENCE:
            break
        passed = over
    return max(0, passed)


def fewest_queries(overlatency: int) -> int:
    """The least number of runs that allows `overlatency` of them over the bound."""
    queries = overlatency
    while allowed_overlatency(queries) < overlatency:
        queries += 1
    return queries


def _binomial(queries: int, over: int) -> float:
    """Probability of exactly `over` of `queries` when each is over with 1 - PERCENTILE."""
    ways = math.lgamma(queries + 1) - math.lgamma(over + 1) - math.lgamma(queries - over + 1)
    return math.exp(ways + over * math.log(1 - PERCENTILE) + (queries - over) * math.log(PERCENTILE))
