"""`edgekit bench`."""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import app
from edgekit.cli.options import JsonFlag, QuietFlag
from edgekit.cli.output import only_json_on_stdout, print_json
from edgekit.errors import EdgekitError, Table, error_document

if TYPE_CHECKING:
    from edgekit.bench.protocol import Protocol
    from edgekit.bench.record import Metric
    from edgekit.report.bench import Outcome

HISTORY = Path("build") / "bench.jsonl"
MAX_REGRESSION = {"latency": 0.03, "instructions": 0.002, "cycles": 0.005}


class MetricName(StrEnum):
    """What is measured."""

    latency = "latency"
    instructions = "instructions"
    cycles = "cycles"


@app.command("bench")
def bench_command(
    bundles: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE|FILE...", help="folders that export wrote, or model files alone"),
    ],
    device: Annotated[str, typer.Option(metavar="D", help="see: edgekit devices")] = "local",
    metric: Annotated[
        MetricName | None, typer.Option(help="[default: latency; instructions on an emulated device]")
    ] = None,
    clock: Annotated[
        str | None, typer.Option(metavar="2.4GHz", help="estimate cycles for this clock, and show milliseconds too")
    ] = None,
    runs: Annotated[int | None, typer.Option(min=1, metavar="N", help="at least N timed runs  [default: 50]")] = None,
    min_time: Annotated[
        float | None, typer.Option(min=0.0, metavar="S", help="and at least S seconds of them  [default: 1]")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, max=1000, metavar="N", help="in N processes, files in turn  [default: 5]")
    ] = None,
    warmup: Annotated[int, typer.Option(min=0, metavar="N", help="untimed runs before each round")] = 5,
    threads: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="of the runtime")] = 1,
    cpu_mask: Annotated[
        str | None, typer.Option(metavar="HEX", help="cores that may be used, for example f0 as taskset takes it")
    ] = None,
    cooldown: Annotated[
        float | None, typer.Option(min=0.0, metavar="S", help="pause before each round  [default: 0]")
    ] = None,
    use_mlperf: Annotated[
        bool, typer.Option("--mlperf", help="MLPerf single stream: 1024 runs, 60 s, 300 s cool-down, p90 at 99 %")
    ] = False,
    sustained: Annotated[
        float | None, typer.Option(min=0.1, metavar="MINUTES", help="run so long without a pause, minute by minute")
    ] = None,
    timeout: Annotated[int, typer.Option(min=1, metavar="S", help="of one round")] = 600,
    runner: Annotated[
        str | None, typer.Option(metavar="benchmark_model=PATH", help="the runtime's own benchmark for the device")
    ] = None,
    history: Annotated[Path, typer.Option(metavar="FILE", help="results are appended to it")] = HISTORY,
    baseline: Annotated[
        Path | None, typer.Option(metavar="F", help="compare with the results in F, a file that --history wrote")
    ] = None,
    max_regression: Annotated[
        str | None,
        typer.Option(metavar="P%", help="slower than this fails  [default: 3%; instructions 0.2%; cycles 0.5%]"),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="too noisy, or no baseline, fails as well (exit code 3)")
    ] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="write a JUnit report")] = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure bundles on a device and compare with a baseline. Exit code 1 when a file became slower.

    In GitHub Actions the verdicts are annotations and a job summary as well.
    """
    from edgekit.bench.protocol import make_protocol

    choices = Choices(
        bundles,
        device,
        metric.value if metric else None,
        parse_tool(runner),
        timeout,
        use_mlperf,
        None if max_regression is None else parse_percent(max_regression, "--max-regression"),
        parse_clock(clock),
    )
    given = {
        "runs": runs,
        "min_time_s": min_time,
        "rounds": rounds,
        "warmup": warmup,
        "threads": threads,
        "cpu_mask": parse_mask(cpu_mask),
        "cooldown_s": cooldown,
    }
    protocol = make_protocol(given, is_mlperf=use_mlperf, minutes=sustained)
    with only_json_on_stdout(as_json):
        outcomes, failure = measure_and_keep(choices, protocol, baseline, history, quiet)
        tell_ci(outcomes, failure, junit)
    failure = failure or gate(outcomes, strict)
    if as_json:
        results = [{**outcome.document, **compared(outcome)} for outcome in outcomes]
        print_json({"results": results, "error": error_document(failure) if failure else None})
        raise typer.Exit(failure.exit_code if failure else 0)
    show(outcomes, history)
    if failure:
        raise failure


def measure_and_keep(
    choices: "Choices", protocol: "Protocol", baseline: Path | None, history: Path, quiet: bool
) -> "tuple[list[Outcome], EdgekitError | None]":
    """Measure one bundle after the other; what was measured before a failure is kept in the history."""
    from edgekit.bench.history import append, read

    outcomes: list[Outcome] = []
    old = read(baseline) if baseline else None
    try:
        for outcome in measure(choices, protocol, old, quiet):
            append(history, [outcome.document])
            outcomes.append(outcome)
    except EdgekitError as error:
        return outcomes, error
    return outcomes, None


@dataclass(frozen=True, slots=True)
class Choices:
    """What to measure, the allowed regression and the clock where the user gave them."""

    bundles: list[Path]
    device: str
    metric: "Metric | None"
    tool: Path | None
    timeout_s: int
    is_mlperf: bool
    max_regression: float | None
    clock_hz: float | None


def measure(
    choices: Choices, protocol: "Protocol", baseline: "list[dict[str, Any]] | None", quiet: bool
) -> "Iterator[Outcome]":
    """An outcome per bundle, as soon as it is measured."""
    from edgekit.bench.measure import Bench
    from edgekit.bench.record import compare_with
    from edgekit.bench.subject import find_subject
    from edgekit.devices.run_model import open_device
    from edgekit.report.bench import Outcome
    from edgekit.report.progress import shown

    subjects = [find_subject(path) for path in choices.bundles]
    with (
        open_device(choices.device, exclusive=True) as device,
        shown(not quiet, f"bench on {choices.device}") as progress,
    ):
        bench = Bench(device, protocol, choices.is_mlperf, choices.tool, choices.timeout_s, choices.clock_hz)
        metric = bench.prepare(choices.metric)
        for finding in bench.findings:
            if not finding.ok and not quiet:
                typer.echo(f"{finding.what}: {finding.said}; {finding.fix}", err=True)
        limit = MAX_REGRESSION[metric] if choices.max_regression is None else choices.max_regression
        for record in bench.run(subjects, metric, progress.step):
            document = record.document()
            yield Outcome(document, None if baseline is None else compare_with(baseline, document, limit))


def tell_ci(outcomes: "list[Outcome]", failure: EdgekitError | None, junit: Path | None) -> None:
    """JUnit where it was asked for; annotations and the job summary where GitHub runs this."""
    from edgekit.report.bench import annotations, job_summary, write_junit

    said = f"{failure.code} {failure.what} [{failure.where}]" if failure else None
    try:
        if junit:
            write_junit(junit, outcomes, said)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            for line in annotations(outcomes):
                print(line, file=sys.stderr)  # GitHub reads both streams; stdout may hold the JSON document
        if target := os.environ.get("GITHUB_STEP_SUMMARY"):
            with open(target, "a", encoding="utf-8") as file:
                file.write(job_summary(outcomes))
    except OSError as error:
        raise EdgekitError(
            "EK702",
            what=f"the report cannot be written: {error.strerror}",
            where=str(error.filename),
            fix="name another file; the results are in the history",
        ) from error


def gate(outcomes: "list[Outcome]", strict: bool) -> EdgekitError | None:
    """EK504 where a file became slower; with --strict EK612 where that could not be told."""
    from edgekit.bench.compare import Verdict

    slower = [outcome for outcome in outcomes if outcome.verdict is Verdict.slower]
    unsure = [outcome for outcome in outcomes if outcome.verdict in (Verdict.too_noisy, Verdict.new)]
    if slower:
        return EdgekitError(
            "EK504",
            what=f"{len(slower)} of {len(outcomes)} files became slower",
            where=slower[0].title,
            fix="compare operators and partitions of both manifests; a wanted change needs a new baseline: --history F",
            table=_reasons(slower),
        )
    if strict and unsure:
        return EdgekitError(
            "EK612",
            what=f"{len(unsure)} of {len(outcomes)} results cannot be judged",
            where=unsure[0].title,
            fix="a quieter device, more --rounds, or a baseline measured on this device",
            table=_reasons(unsure),
        )
    return None


def _reasons(outcomes: "list[Outcome]") -> Table:
    return Table(("what", "verdict", "why"), tuple((o.title, str(o.verdict), o.reason) for o in outcomes))


def compared(outcome: "Outcome") -> dict[str, Any]:
    """The verdict as JSON."""
    comparison = asdict(outcome.comparison) if outcome.comparison else None
    return {"comparison": comparison, "verdict": str(outcome.verdict) if outcome.verdict else None}


def show(outcomes: "list[Outcome]", history: Path) -> None:
    """The table, what the figures rest on, and where they are kept."""
    from edgekit.report.bench import COLUMNS, FIGURES, cells, notes
    from edgekit.report.terminal import print_table

    if not outcomes:
        return
    print_table(COLUMNS, [cells(outcome) for outcome in outcomes], right=FIGURES)
    for outcome in outcomes:
        for note in notes(outcome):
            print(f"{outcome.title}: {note}")
    print(f"results appended to {history}")


def parse_percent(text: str, option: str) -> float:
    """`3%` or `3` -> 0.03; EK106 for anything else."""
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise EdgekitError("EK106", what=f"{text!r} is no percentage", where=option, fix="write for example 3%")
    return value / 100


def parse_clock(text: str | None) -> float | None:
    """`2.4GHz` or `1800MHz` -> hertz; EK106 for anything else."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5}(?:\.\d{1,6})?) ?(GHz|MHz)", text.strip(), re.IGNORECASE)
    hertz = float(found[1]) * {"g": 1e9, "m": 1e6}[found[2][0].lower()] if found else 0.0
    if not 1e6 <= hertz <= 1e11:
        raise EdgekitError("EK106", what=f"{text!r} is no clock", where="--clock", fix="write for example 2.4GHz")
    return hertz


def parse_mask(text: str | None) -> int:
    """`f0` or `0xf0` -> 240; EK106 for anything else."""
    try:
        mask = 0 if text is None else int(text, 16)
    except ValueError:
        mask = -1
    if not 0 <= mask < 1 << 64 or (text is not None and not mask):
        raise EdgekitError(
            "EK106", what=f"{text!r} is no mask of cores", where="--cpu-mask", fix="hexadecimal, for example f0"
        )
    return mask


def parse_tool(text: str | None) -> Path | None:
    """`benchmark_model=PATH` -> the path; EK106 for anything else."""
    if text is None:
        return None
    name, separator, path = text.partition("=")
    if name != "benchmark_model" or not separator or not path:
        raise EdgekitError(
            "EK106", what=f"{text!r} is no runner", where="--runner", fix="write --runner benchmark_model=PATH"
        )
    return Path(path)
