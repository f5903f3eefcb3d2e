"""How a latency is measured: the defaults of TFLite's benchmark_model, several processes, and MLPerf's rules."""

from dataclasses import dataclass, replace

from edgekit.bench import mlperf


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
