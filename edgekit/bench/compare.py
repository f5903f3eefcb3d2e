"""Whether a file became slower: a comparison with a baseline that knows how well either was measured.

Two kinds of certainty are asked for before a build turns red: the medians are further apart than allowed, and the
rounds of the two benches lie apart by more than chance explains. Where the measurement cannot tell, that is the answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

SIGNIFICANCE = 0.01
"""Chance of calling two equal benches different; five rounds against five can reach 0.004."""


BEYOND_NOISE = 2.0
"""A bench that is too noisy is slower all the same when even its fastest run takes so many times the baseline."""


class Verdict(StrEnum):
    """What a comparison found."""

    same = "unchanged"
    slower = "slower"
    faster = "faster"
    too_noisy = "too noisy"
    new = "no baseline"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A bench against its baseline.

    Args:
        ratio: now / baseline; None without a baseline.
        low, high: 95 % interval of the ratio.
        reason: what decided, in words.
    """

    verdict: Verdict
    reason: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def change(self) -> str:
        """`+1.2% (+0.4% to +2.0%)`, `+0.035%` for an exact count, or nothing without a baseline."""
        if self.ratio is None or self.low is None or self.high is None:
            return ""
        if self.low == self.high:
            return f"{self.ratio - 1:+.3%}"
        return f"{self.ratio - 1:+.1%} ({self.low - 1:+.1%} to {self.high - 1:+.1%})"


@dataclass(frozen=True, slots=True)
class Timing:
    """What a comparison needs to know of one bench.

    Args:
        p50_ms, low_ms, high_ms: the median and its 95 % interval.
        rounds_ms: the median of each round.
        min_ms: the fastest run.
        noisy: whether the bench itself found its median doubtful.
        control_ms: the median time of a fixed network run in turn with the file: how fast the device itself was.
    """

    p50_ms: float
    low_ms: float
    high_ms: float
    rounds_ms: tuple[float, ...]
    min_ms: float
    noisy: bool = False
    control_ms: float | None = None

    @property
    def log_half_width(self) -> float:
        """Half the interval's width on the scale of logarithms, where ratios are differences."""
        return math.log(self.high_ms / self.low_ms) / 2


def compare_timings(now: Timing, baseline: Timing, max_regression: float) -> Comparison:
    """Judge `now` against `baseline`; slower by up to `max_regression` (a fraction) is allowed.

    The interval of the ratio adds both intervals as independent errors, and in full by how much the device itself
    changed, seen in the control: a device in another state says nothing about a file.
    """
    ratio, shift = now.p50_ms / baseline.p50_ms, device_shift(now, baseline)
    half = math.hypot(now.log_half_width, baseline.log_half_width) + abs(math.log(shift))
    low, high = ratio * math.exp(-half), ratio * math.exp(half)
    found = Comparison(Verdict.same, f"{max_regression:.1%} allowed", ratio, low, high)
    if now.noisy or baseline.noisy:
        if now.min_ms > BEYOND_NOISE * baseline.high_ms:
            return _because(found, Verdict.slower, f"even the fastest run takes {now.min_ms / baseline.high_ms:.1f}x")
        return _because(found, Verdict.too_noisy, f"the {'bench' if now.noisy else 'baseline'} was too noisy")
    if low > 1 + max_regression:
        return _because(found, Verdict.slower, f"certainly, {max_regression:.1%} allowed")
    if high < 1 - max_regression:
        return _because(found, Verdict.faster, "certainly")
    if half > max_regression:
        return _because(found, Verdict.too_noisy, _noise(half, shift, max_regression))
    slower, faster = chance(now.rounds_ms, baseline.rounds_ms), chance(baseline.rounds_ms, now.rounds_ms)
    if ratio > 1 + max_regression and slower <= SIGNIFICANCE:
        return _because(found, Verdict.slower, f"{max_regression:.1%} allowed, chance {slower:.1%}")
    if ratio < 1 - max_regression and faster <= SIGNIFICANCE:
        return _because(found, Verdict.faster, f"chance {faster:.1%}")
    return found


def compare_counts(now: float, baseline: float, max_regression: float) -> Comparison:
    """Judge an exact count; there is no noise to allow for."""
    ratio = now / baseline
    verdict = Verdict.same
    if ratio > 1 + max_regression:
        verdict = Verdict.slower
    elif ratio < 1 - max_regression:
        verdict = Verdict.faster
    return Comparison(verdict, f"{max_regression:.1%} allowed", ratio, ratio, ratio)


def device_shift(now: Timing, baseline: Timing) -> float:
    """How much slower (> 1) the device itself became since the baseline; 1 where a bench had no control."""
    if now.control_ms is None or baseline.control_ms is None:
        return 1.0
    return now.control_ms / baseline.control_ms


def _because(found: Comparison, verdict: Verdict, why: str) -> Comparison:
    return replace(found, verdict=verdict, reason=why)


def _noise(half: float, shift: float, max_regression: float) -> str:
    cause = ""
    if abs(shift - 1) > max_regression / 2:
        cause = f"; the device itself was {abs(shift - 1):.1%} {'slower' if shift > 1 else 'faster'} than then"
    return f"known to ±{half:.1%} only, {max_regression:.1%} is to be judged{cause}"


def chance(higher: Sequence[float], lower: Sequence[float]) -> float:
    """Chance that rounds of equal benches lie at least as much in this order: the exact one-sided rank-sum test.

    Source: Mann and Whitney 1947, doi:10.1214/aoms/1177730491. A tie counts half, which is on the safe side.
    """
    pairs = [(a > b) + 0.5 * (a == b) for a in higher for b in lower]
    wins = math.floor(sum(pairs))
    m, n = len(higher), len(lower)
    at_least = sum(_arrangements(m, n, u) for u in range(wins, m * n + 1))
    return at_least / math.comb(m + n, m)


@cache
def _arrangements(m: int, n: int, wins: int) -> int:
    """In how many orders of m and n values the m win exactly `wins` of their m * n comparisons."""
    if wins < 0:
        return 0
    if m == 0 or n == 0:
        return int(wins == 0)
    return _arrangements(m - 1, n, wins - n) + _arrangements(m, n - 1, wins)
