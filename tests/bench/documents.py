"""Made-up results for tests."""

from dataclasses import asdict

from edgekit.bench.protocol import Protocol
from edgekit.bench.record import RanBy, Record
from edgekit.bench.statistics import summarize
from edgekit.devices.device import DeviceInfo

PI = DeviceInfo("pi4", "ssh://pi@board", "aarch64", "Cortex-A72", 4, governors=("ondemand",))
CORE = DeviceInfo("emulated:pi4", "emulated:pi4", "aarch64", "cortex-a72 (pi4, emulated)", 4, emulated=True)


def record(metric="latency", *, summary, rounds=(), **changed):
    fields = {
        "metric": metric,
        "time": "2026-01-01T00:00:00+00:00",
        "edgekit": "0.1.0",
        "bundle": "build/net/tflite-int8",
        "model": "net",
        "target": "tflite-int8",
        "sha256": "a" * 64,
        "size_bytes": 1000,
        "device": PI,
        "ran_by": RanBy("c", "litert", "2.3.0", "XNNPACK", 1),
        "protocol": asdict(Protocol()),
        "summary": summary,
        "rounds": rounds,
        **changed,
    }
    return Record(**fields).document()


def latency(median_ms=10.0, *, spread=0.001, **changed):
    """Five rounds whose medians lie `spread` (a fraction) apart."""
    medians = [median_ms * (1 + spread * step) for step in (-2, -1, 0, 1, 2)]
    timings = [[m * 0.999, m, m * 1.001] * 10 for m in medians]
    rounds = [{"p50_ms": m} for m in medians]
    return record(summary=asdict(summarize(timings)), rounds=rounds, **changed)


def counts(instructions=1_000_000, **changed):
    classes = {"load_store": 0, "simd": instructions, "dot_product": 0, "branch": 0, "other": 0}
    summary = {"instructions": instructions, "classes": classes, "spread": 0.0}
    return record("instructions", summary=summary, device=CORE, protocol={"threads": 1}, **changed)
