"""One result, as it is kept in the history and printed as JSON, and which of two results may be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from edgekit.bench.compare import Comparison, Timing, Verdict, compare_counts, compare_timings
from edgekit.bench.history import Document
from edgekit.devices.device import DeviceInfo

FORMAT = 1
Metric = Literal["latency", "instructions", "cycles"]

_RAN_BY = ("ran_by.runner", "ran_by.runtime", "ran_by.runtime_version")
COMPARABLE = {
    "latency": ("device.arch", "device.cpu", *_RAN_BY, "protocol.threads", "protocol.cpu_mask"),
    "instructions": ("device.cpu", *_RAN_BY),
    "cycles": ("device.cpu", *_RAN_BY, "protocol.board", "protocol.clock_hz", "protocol.prices"),
}
"""What must be equal, beside model and target, for two results to be about the file and nothing else."""


@dataclass(frozen=True, slots=True)
class RanBy:
    """What ran a file.

    Args:
        runner: "c", "python" or "benchmark_model".
        runtime_version: of benchmark_model, which does not say its own, the first digits of its hash.
        delegate, partitions: what the runtime said; None where it says nothing.
    """

    runner: str
    runtime: str
    runtime_version: str
    delegate: str | None
    partitions: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """One file measured on one device.

    Args:
        time: when, UTC, ISO 8601.
        model, target: as in the bundle's manifest; `sha256` of the model file.
        protocol: how it was measured; `preflight` what was found before.
        summary: of a latency: Summary's fields. Of instructions: the count and the classes. Of cycles: the estimate.
        rounds: per process: the median, what was observed, and the timings, thinned.
        extra: "control_ms", the fixed network's median; "mlperf", "sustained", "qemu"; "estimated_ms" of cycles
            where a clock was named; "interrupted": why rounds are missing.
    """

    metric: Metric
    time: str
    edgekit: str
    bundle: str
    model: str
    target: str
    sha256: str
    size_bytes: int
    device: DeviceInfo
    ran_by: RanBy
    protocol: Mapping[str, Any]
    summary: Mapping[str, Any]
    rounds: Sequence[Mapping[str, Any]] = ()
    preflight: Sequence[Mapping[str, Any]] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> Document:
        """JSON-ready."""
        return {"format": FORMAT, **asdict(self)}


def find_baseline(history: Sequence[Document], document: Document) -> tuple[Document | None, str]:
    """The result to compare with, and why there is none.

    The same file (by hash) where the history has it, otherwise the newest of the same model and target: the file that
    the new one replaces. One that was too noisy only where there is no other; an interrupted one never.
    """
    named = ("format", "metric", "model", "target")
    same = [
        old
        for old in history
        if all(old.get(key) == document[key] for key in named) and not _look_up(old, "extra.interrupted")
    ]
    if not same:
        return None, f"no {document['metric']} of {document['model']} {document['target']} in it"
    keys = COMPARABLE[document["metric"]]
    fitting = [old for old in same if all(_look_up(old, key) == _look_up(document, key) for key in keys)]
    if not fitting:
        return None, "; ".join(_differences(same[-1], document, keys))
    identical = [old for old in fitting if old.get("sha256") == document["sha256"]]
    chosen = identical or fitting
    quiet = [old for old in chosen if not _look_up(old, "summary.noise")]
    return (quiet or chosen)[-1], ""


def _differences(old: Document, new: Document, keys: Sequence[str]) -> list[str]:
    values = [(key, _look_up(old, key), _look_up(new, key)) for key in keys]
    return [f"{key.rpartition('.')[2]} was {before}, is {now}" for key, before, now in values if before != now]


def _look_up(document: Document, key: str) -> object:
    value: object = document
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def compare_with(history: Sequence[Document], document: Document, max_regression: float) -> Comparison:
    """A result against its baseline in the history."""
    baseline, why_none = find_baseline(history, document)
    if baseline is None:
        return Comparison(Verdict.new, why_none)
    try:
        if (metric := document["metric"]) != "latency":
            counts = [float(entry["summary"][metric]) for entry in (document, baseline)]
            return compare_counts(counts[0], counts[1], max_regression)
        return compare_timings(timing(document), timing(baseline), max_regression)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        return Comparison(Verdict.new, f"the baseline's entry cannot be used: {error!r}")


def timing(document: Document) -> Timing:
    """What a comparison needs of a latency's document."""
    summary, control = document["summary"], document["extra"].get("control_ms")
    return Timing(
        float(summary["p50_ms"]),
        float(summary["low_ms"]),
        float(summary["high_ms"]),
        tuple(float(part["p50_ms"]) for part in document["rounds"]),
        float(summary["min_ms"]),
        bool(summary["noise"]),
        None if control is None else float(control),
    )
