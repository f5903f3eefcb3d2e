"""What is kept of one round, and how a sustained run's rounds are read."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.devices.result import RunnerResult

KEPT_RUNS = 400
"""Timings of a round that are kept in the record, evenly spaced."""

THROTTLED = 1.10
"""A sustained run is throttled from the window on whose median is so much above the first one's."""


def round_document(result: RunnerResult) -> dict[str, Any]:
    """One round as it is kept."""
    sensors = result.sensors
    return {
        "runs": len(result.runs_ms),
        "p50_ms": float(np.median(result.runs_ms)),
        "load_ms": result.load_ms,
        "first_ms": result.first_ms,
        "peak_rss_kb": result.peak_rss_kb,
        "temperature_c": {"before": dict(sensors.temperature_before_c), "after": dict(sensors.temperature_after_c)},
        "frequency_khz": {"before": list(sensors.frequency_before_khz), "after": list(sensors.frequency_after_khz)},
        "clock_jumped": result.clock_jumped,
        "runs_ms": thinned(result.runs_ms),
    }


def thinned(values: Sequence[float]) -> list[float]:
    """At most KEPT_RUNS of the values, evenly spaced, in their order, to a tenth of a microsecond."""
    kept = np.linspace(0, len(values) - 1, min(len(values), KEPT_RUNS)).round().astype(int)
    return [round(values[i], 4) for i in kept]


def sustained_document(rounds_ms: Sequence[Sequence[float]]) -> dict[str, Any]:
    """How the latency went from window to window.

    Returns:
        Each window's median, the first, the last, their ratio, and after how many seconds of running the first window
        began that was THROTTLED.
    """
    medians = [float(np.median(part)) for part in rounds_ms]
    ends_s = np.cumsum([sum(part) / 1e3 for part in rounds_ms])
    slow = [i for i, median in enumerate(medians) if median > THROTTLED * medians[0]]
    return {
        "windows_ms": medians,
        "first_ms": medians[0],
        "last_ms": medians[-1],
        "ratio": medians[-1] / medians[0],
        "throttled_after_s": float(ends_s[slow[0] - 1]) if slow else None,
    }
