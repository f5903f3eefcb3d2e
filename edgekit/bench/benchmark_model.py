"""TensorFlow's own benchmark_model on a device: pushed, run, and its output read.

It prints no single timings, so its rounds give a median each (the average, where it is older than medians).
"""

import re
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.protocol import Protocol
from edgekit.bench.statistics import median_interval, reasons_for_doubt
from edgekit.bench.subject import Subject
from edgekit.devices.device import Device, printable
from edgekit.devices.faults import check
from edgekit.errors import EdgekitError
from edgekit.target import runtimes

NAME = "benchmark_model"
MAX_LINES = 20_000
_NUMBER = r"(\d[\d.]*(?:e[+-]?\d+)?)"
_FIELD = re.compile(rf"\b(count|first|curr|min|max|avg|std|p5|median|p95)={_NUMBER}")
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_MEMORY = re.compile(rf"emory footprint[^:]*\(MB\): init={_NUMBER} overall={_NUMBER}")
_DELEGATED = re.compile(
    r"Replacing (\d{1,6}) out of (\d{1,6}) node\(s\) with delegate \((\w{1,60})\).*?yielding (\d{1,6})"
)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What one run of benchmark_model printed, in milliseconds.

    Args:
        p50_ms, p95_ms: None before TFLite 2.17, which printed the average only.
        partitions: of the delegate; None where the tool did not say.
    """

    runs: int
    load_ms: float
    first_ms: float
    mean_ms: float
    min_ms: float
    max_ms: float
    std_ms: float
    p50_ms: float | None = None
    p95_ms: float | None = None
    memory_mb: float | None = None
    delegate: str | None = None
    partitions: int | None = None

    @property
    def typical_ms(self) -> float:
        """The median, or the average where there is none."""
        return self.mean_ms if self.p50_ms is None else self.p50_ms


def parse_output(text: str, where: str) -> ToolResult:
    """The figures of the measured runs, which are the last "count=" line; EK608 when they are not there."""
    lines = text.splitlines()[:MAX_LINES]
    counts = [dict(_FIELD.findall(line)) for line in lines if "count=" in line]
    summary = next((found for line in lines if (found := _SUMMARY.search(line))), None)
    memory = next((found for line in lines if (found := _MEMORY.search(line))), None)
    delegated = next((found for line in lines if (found := _DELEGATED.search(line))), None)
    try:
        if summary is None:
            raise ValueError("no 'Inference timings' line")
        fields = {name: float(value) for name, value in counts[-1].items()}
        in_ms = {name: value / 1e3 for name, value in fields.items()}
        only = in_ms["curr"]  # a single run prints nothing else
        return ToolResult(
            runs=int(fields["count"]),
            load_ms=float(summary[1]) / 1e3,
            first_ms=float(summary[2]) / 1e3,
            mean_ms=in_ms.get("avg", only),
            min_ms=in_ms.get("min", only),
            max_ms=in_ms.get("max", only),
            std_ms=in_ms.get("std", 0.0),
            p50_ms=in_ms.get("median"),
            p95_ms=in_ms.get("p95"),
            memory_mb=float(memory[2]) if memory else None,
            delegate=delegated[3] if delegated else None,
            partitions=int(delegated[4]) if delegated else None,
        )
    except (IndexError, KeyError, ValueError) as error:
        last = next((printable(line, 120) for line in reversed(lines) if line.strip()), "nothing")
        raise EdgekitError(
            "EK608",
            what=f"{NAME} printed no result ({error}); its last line: {last}",
            where=where,
            fix="run it there by hand; it must be made for the device's CPU and system",
        ) from error


def run_tool(device: Device, subject: Subject, protocol: Protocol, binary: Path, timeout_s: int) -> ToolResult:
    """One run of the user's benchmark_model on the device.

    Raises:
        EdgekitError: EK102 without the binary, EK106 for a file of another runtime, EK60x from the device.
    """
    if subject.runtime.program != NAME:
        known = [f".{runtime.suffix}" for runtime in runtimes() if runtime.program == NAME]
        raise EdgekitError(
            "EK106",
            what=f"{NAME} runs {' and '.join(known)} files only",
            where=subject.name,
            fix="leave --runner out: edgekit's own runs this file",
        )
    if not binary.is_file():
        raise EdgekitError("EK102", what=f"no {NAME} there", where=str(binary), fix="--runner benchmark_model=PATH")
    work = f"work-{secrets.token_hex(6)}"
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        sent = Path(folder) / "work"
        sent.mkdir()
        shutil.copyfile(binary, sent / NAME)
        (sent / NAME).chmod(0o755)
        shutil.copyfile(subject.file, sent / "model")
        try:
            device.push(sent, work)
            done = check(device.run(arguments(work, protocol), timeout_s), device.address.name)
        finally:
            device.remove(work)
    # Builds differ in whether they log to stdout or stderr.
    text = "\n".join(part.decode("utf-8", "replace") for part in (done.stdout, done.stderr))
    return parse_output(text, device.address.name)


def arguments(work: str, protocol: Protocol) -> list[str]:
    """The tool's command line for one round of the protocol."""
    pinned = ["taskset", f"{protocol.cpu_mask:x}"] if protocol.cpu_mask else []
    return [
        *pinned,
        f"./{work}/{NAME}",
        f"--graph={work}/model",
        f"--num_threads={protocol.threads}",
        f"--num_runs={protocol.runs_per_round}",
        f"--min_secs={protocol.time_per_round_s:g}",
        f"--warmup_runs={max(1, protocol.warmup)}",
    ]


def summarize_rounds(results: Sequence[ToolResult]) -> dict[str, Any]:
    """What all rounds say together, with the interval that the rounds' medians allow."""
    typical = np.array([result.typical_ms for result in results])
    low, high = median_interval([np.array([value]) for value in typical])
    p50 = float(np.median(typical))
    p95 = [result.p95_ms for result in results if result.p95_ms is not None]
    return {
        "runs": sum(result.runs for result in results),
        "rounds": len(results),
        "p50_ms": p50,
        "is_average": any(result.p50_ms is None for result in results),
        "p95_ms": float(np.median(p95)) if p95 else None,
        "mean_ms": float(np.mean([result.mean_ms for result in results])),
        "min_ms": min(result.min_ms for result in results),
        "max_ms": max(result.max_ms for result in results),
        "low_ms": low,
        "high_ms": high,
        "noise": reasons_for_doubt((high - low) / (2 * p50) if p50 else 0.0, 0.0, 0.0),
    }
