"""The bench itself: rounds over files on a device, from files to records."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench import benchmark_model, blocks, mlperf
from edgekit.bench.cycles import estimate_cycles
from edgekit.bench.instructions import count_instructions
from edgekit.bench.preflight import SCRIPT, Finding, examine
from edgekit.bench.protocol import Protocol
from edgekit.bench.record import Metric, RanBy, Record
from edgekit.bench.rounds import round_document, sustained_document
from edgekit.bench.statistics import summarize
from edgekit.bench.subject import Subject, control_subject
from edgekit.bundle.files import sha256
from edgekit.devices.device import Device, DeviceInfo
from edgekit.devices.result import RunnerResult
from edgekit.devices.run_model import RunRequest, run_model
from edgekit.errors import EdgekitError
from edgekit.progress import Step

PREFLIGHT_TIMEOUT_S = 30.0
CONTROL_RUNS, CONTROL_TIME_S = 50, 0.1
MOST_ROUNDS = 3
"""A noisy bench goes on for up to so many times its rounds."""


def ignore(done: int, total: int | None) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class Bench:
    """Measures files on one device.

    Args:
        is_mlperf: add MLPerf's early-stopping estimate.
        tool: benchmark_model for the device, instead of edgekit's runner.
        timeout_s: of one round.
        clock_hz: cycles are estimated for this clock instead of the board's, and shown as milliseconds too.
        sleep: pauses; a test passes its own.
    """

    device: Device
    protocol: Protocol
    is_mlperf: bool = False
    tool: Path | None = None
    timeout_s: int = 600
    clock_hz: float | None = None
    sleep: Callable[[float], None] = time.sleep
    info: DeviceInfo = field(init=False)
    findings: tuple[Finding, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        self.info = self.device.info()

    @property
    def usual_metric(self) -> Metric:
        return "instructions" if self.info.emulated else "latency"

    def examine(self) -> tuple[Finding, ...]:
        """Look at the device's state before measuring; an emulated one has none."""
        if not self.info.emulated:
            done = self.device.run(("sh", "-c", SCRIPT), PREFLIGHT_TIMEOUT_S)
            self.findings = examine(done.stdout.decode("utf-8", "replace"), self.info, self.protocol.threads)
        return self.findings

    def prepare(self, metric: Metric | None) -> Metric:
        """The metric, the usual one where none is asked for; where that is a time, the device is looked at first."""
        chosen = metric or self.usual_metric
        if chosen == "latency":
            self.examine()
        return chosen

    def run(self, subjects: Sequence[Subject], metric: Metric, advance: Step = ignore) -> Iterator[Record]:
        """A record per file. Where the device fails, what was measured until then is recorded first.

        Raises:
            EdgekitError: EK106 for a metric that the device does not have; EK60x, EK611.
        """
        if self.clock_hz is not None and metric != "cycles":
            raise EdgekitError(
                "EK106",
                what="a clock is for estimated cycles",
                where="--clock",
                fix="add --metric cycles, or leave it out",
            )
        if metric != "latency":
            measure = self._count if metric == "instructions" else self._estimate
            for index, subject in enumerate(subjects):
                yield measure(subject)
                advance(index + 1, len(subjects))
        elif self.info.emulated:
            raise EdgekitError(
                "EK106",
                what="an emulated device has no latency: its milliseconds would mean nothing",
                where=self.device.address.name,
                fix="--metric instructions or cycles, or a real device",
            )
        elif self.tool is not None:
            yield from self._run_tool(self.tool, subjects, advance)
        else:
            yield from self._time(subjects, advance)

    def _count(self, subject: Subject) -> Record:
        result, counts = count_instructions(self.device, self._request(subject))
        return self._record(
            "instructions",
            subject,
            ran_by(result),
            protocol={"runs": blocks.RUNS, "warmup": blocks.WARMUP, "threads": 1},
            summary=asdict(counts),
            extra={"qemu": blocks.qemu_version()},
        )

    def _estimate(self, subject: Subject) -> Record:
        result, estimated = estimate_cycles(self.device, self._request(subject), self.clock_hz)
        extra: dict[str, Any] = {"qemu": blocks.qemu_version()}
        if self.clock_hz is not None:
            extra["estimated_ms"] = estimated.milliseconds
        return self._record(
            "cycles",
            subject,
            ran_by(result),
            protocol={
                "runs": blocks.RUNS,
                "warmup": blocks.WARMUP,
                "threads": 1,
                "board": estimated.board.name,
                "clock_hz": estimated.clock_hz,
                "prices": estimated.prices,
            },
            summary=estimated.document(),
            extra=extra,
        )

    def _run_tool(self, binary: Path, subjects: Sequence[Subject], advance: Step) -> Iterator[Record]:
        """The tool's rounds of one file after the other."""
        for subject in subjects:
            results = []
            for index in range(self.protocol.rounds):
                self._pause()
                results.append(benchmark_model.run_tool(self.device, subject, self.protocol, binary, self.timeout_s))
                advance(index + 1, self.protocol.rounds)
            last, summary = results[-1], benchmark_model.summarize_rounds(results)
            summary["noise"] = (*summary["noise"], *self._doubts())
            build = sha256(binary.read_bytes())[:12]  # it does not say its version
            yield self._record(
                "latency",
                subject,
                RanBy(benchmark_model.NAME, subject.runtime.name, build, last.delegate, last.partitions),
                protocol=asdict(self.protocol),
                summary=summary,
                rounds=[{**asdict(result), "p50_ms": result.typical_ms} for result in results],
            )

    def _time(self, subjects: Sequence[Subject], advance: Step) -> Iterator[Record]:
        rounds: list[list[RunnerResult]] = [[] for _ in subjects]
        control: list[float] = []
        failure = None
        try:
            with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
                fixed = None if self.protocol.sustained_s else control_subject(subjects[0].runtime, Path(folder))
                while self._wants_more(rounds):
                    self._round(subjects, rounds)
                    if fixed:
                        control.append(self._control_ms(fixed))
                    advance(len(rounds[0]), max(len(rounds[0]), self.protocol.rounds))
        except EdgekitError as error:
            failure = error
        for subject, results in zip(subjects, rounds, strict=True):
            if results:
                yield self._timed(subject, results, control, failure)
        if failure:
            raise failure

    def _round(self, subjects: Sequence[Subject], rounds: Sequence[list[RunnerResult]]) -> None:
        runs, time_s = self.protocol.runs_per_round, self.protocol.time_per_round_s
        for subject, results in zip(subjects, rounds, strict=True):
            self._pause()
            results.append(run_model(self.device, self._request(subject, runs, time_s))[0])

    def _control_ms(self, fixed: Subject) -> float:
        result, _ = run_model(self.device, self._request(fixed, CONTROL_RUNS, CONTROL_TIME_S))
        return float(np.median(result.runs_ms))

    def _pause(self) -> None:
        if self.protocol.cooldown_s:
            self.sleep(self.protocol.cooldown_s)

    def _wants_more(self, rounds: Sequence[list[RunnerResult]]) -> bool:
        """Whether a further round is due: not all were run, or what they say is too noisy still."""
        done, planned = len(rounds[0]), self.protocol.rounds
        if done < planned:
            return True
        if self.protocol.sustained_s or self.is_mlperf or done >= MOST_ROUNDS * planned:
            return False
        if self._doubts():
            return False  # more rounds would not help
        return any(summarize([result.runs_ms for result in results]).too_noisy for results in rounds)

    def _doubts(self) -> tuple[str, ...]:
        """What was found before that makes any time doubtful."""
        return tuple(finding.doubt for finding in self.findings if finding.doubt)

    def _request(self, subject: Subject, runs: int = 0, min_time_s: float = 0.0) -> RunRequest:
        return RunRequest(
            subject.runtime,
            subject.file,
            subject.sha256,
            subject.inputs,
            runs=runs,
            warmup=self.protocol.warmup,
            min_time_s=min_time_s,
            threads=self.protocol.threads,
            cpu_mask=self.protocol.cpu_mask,
            timeout_s=self.timeout_s,
        )

    def _timed(
        self, subject: Subject, results: Sequence[RunnerResult], control: Sequence[float], failure: EdgekitError | None
    ) -> Record:
        timings = [result.runs_ms for result in results]
        summary = asdict(summarize(timings, may_drift=bool(self.protocol.sustained_s)))
        summary["noise"] = (*summary["noise"], *self._doubts())
        extra: dict[str, Any] = {}
        if control:
            extra["control_ms"] = float(np.median(control))
        if self.is_mlperf:
            extra["mlperf"] = asdict(mlperf.early_stopping([ms for part in timings for ms in part]))
        if self.protocol.sustained_s:
            extra["sustained"] = sustained_document(timings)
        if failure:
            extra["interrupted"] = f"{failure.code} {failure.what}"
        return self._record(
            "latency",
            subject,
            ran_by(results[-1]),
            protocol=asdict(self.protocol),
            summary=summary,
            rounds=[round_document(result) for result in results],
            extra=extra,
        )

    def _record(
        self,
        metric: Metric,
        subject: Subject,
        ran: RanBy,
        *,
        protocol: Mapping[str, Any],
        summary: Mapping[str, Any],
        rounds: Sequence[Mapping[str, Any]] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> Record:
        return Record(
            metric=metric,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            edgekit=version("edgekit"),
            bundle=subject.name,
            model=subject.model,
            target=subject.target,
            sha256=subject.sha256,
            size_bytes=subject.file.stat().st_size,
            device=self.info,
            ran_by=ran,
            protocol=protocol,
            summary=summary,
            rounds=rounds,
            preflight=[asdict(finding) for finding in self.findings],
            extra=extra or {},
        )


def ran_by(result: RunnerResult) -> RanBy:
    """What ran the file, as the runner said it."""
    return RanBy(result.runner, result.runtime, result.runtime_version, result.delegate, result.partitions)
