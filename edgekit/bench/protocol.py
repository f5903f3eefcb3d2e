"""How a latency is measured: the defaults of TFLite's benchmark_model, several processes, and MLPerf's rules."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgekit.bench import mlperf
from edgekit.errors import EdgekitError


@dataclass(frozen=True, slots=True)
class Protocol:
    """What one bench does per file.

    Args:
        runs: least number of timed runs, all rounds together.
        min_time_s: least time of timed runs, all rounds together.
        rounds: processes; the files of one bench take turns, so that a slow minute hits them all.
        warmup: untimed runs at the start of each round.
        threads: of the runtime.
        cpu_mask: cores that may be used, a bit each, as `taskset` takes it; 0: any.
        cooldown_s: pause before each round.
        sustained_s: measure this long without a pause instead, in rounds of a minute.
    """

    runs: int = 50
    min_time_s: float = 1.0
    rounds: int = 5
    warmup: int = 5
    threads: int = 1
    cpu_mask: int = 0
    cooldown_s: float = 0.0
    sustained_s: float = 0.0

    @property
    def runs_per_round(self) -> int:
        return -(-self.runs // self.rounds)

    @property
    def time_per_round_s(self) -> float:
        return self.min_time_s / self.rounds


MLPERF = Protocol(
    runs=mlperf.MIN_SAMPLES, min_time_s=mlperf.MIN_TIME_S, rounds=1, warmup=5, cooldown_s=mlperf.COOLDOWN_S
)
"""MLPerf Mobile, single stream: one uninterrupted stretch."""

SUSTAINED_WINDOW_S = 60.0


def sustained(protocol: Protocol, minutes: float) -> Protocol:
    """The protocol measured without a pause for so long, in windows of a minute (shorter when it is less)."""
    total_s = 60 * minutes
    window_s = min(SUSTAINED_WINDOW_S, total_s)
    rounds = max(1, round(total_s / window_s))
    return replace(protocol, runs=rounds, min_time_s=total_s, rounds=rounds, cooldown_s=0.0, sustained_s=total_s)


def make_protocol(choices: Mapping[str, Any], *, is_mlperf: bool, minutes: float | None) -> Protocol:
    """The protocol that was asked for.

    Args:
        choices: fields of it; None leaves one as the usual protocol, or MLPerf's, has it.
        is_mlperf: start from MLPerf's.
        minutes: measure so long without a pause instead.

    Raises:
        EdgekitError: EK106 for the last two together.
    """
    if is_mlperf and minutes is not None:
        raise EdgekitError(
            "EK106", what="--mlperf and --sustained exclude each other", where="--sustained", fix="choose one"
        )
    chosen = {key: value for key, value in choices.items() if value is not None}
    start = replace(MLPERF if is_mlperf else Protocol(), **chosen)
    return start if minutes is None else sustained(start, minutes)
