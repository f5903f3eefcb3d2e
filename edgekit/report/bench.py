"""Results of a bench for people and for CI: table cells, JUnit, GitHub's annotations and job summary."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bench.compare import Comparison, Verdict
from edgekit.bench.history import Document

COLUMNS = ("model", "target", "device", "result", "p90", "p99", "spread", "runs", "against the baseline", "verdict")
FIGURES = ("result", "p90", "p99", "spread", "runs")
LEVELS = {Verdict.slower: "error", Verdict.too_noisy: "warning", Verdict.new: "notice", Verdict.faster: "notice"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result and what the comparison said; None where none was asked for."""

    document: Document
    comparison: Comparison | None = None

    @property
    def title(self) -> str:
        return f"{self.document['model']} {self.document['target']} on {self.document['device']['name']}"

    @property
    def verdict(self) -> Verdict | None:
        """Too noisy also where there is no baseline to be unsure about."""
        if self.comparison and self.comparison.verdict is not Verdict.new:
            return self.comparison.verdict
        if self.document["summary"].get("noise"):
            return Verdict.too_noisy
        return self.comparison.verdict if self.comparison else None

    @property
    def reason(self) -> str:
        """Why, in words."""
        compared = [self.comparison.change, self.comparison.reason] if self.comparison else []
        return "; ".join(filter(None, [*compared, *self.document["summary"].get("noise", ())]))


def cells(outcome: Outcome) -> tuple[str, ...]:
    """A row of the table. A result that is too noisy shows its interval and no number."""
    document, summary = outcome.document, outcome.document["summary"]
    start = (document["model"], document["target"], document["device"]["name"])
    against = outcome.comparison.change if outcome.comparison else ""
    verdict = str(outcome.verdict or "")
    if document["metric"] == "instructions":
        return (*start, f"{summary['instructions']:,} instr.", "", "", "", "exact", against, verdict)
    if document["metric"] == "cycles":
        return (*start, estimated(document), "", "", "", "estimated", against, verdict)
    runs = f"{summary['runs']} in {len(document['rounds'])}"
    if summary["noise"]:
        return (*start, f"{summary['low_ms']:.3g} to {summary['high_ms']:.3g} ms", "", "", "", runs, against, verdict)
    return (
        *start,
        f"{milliseconds(summary['p50_ms'])} ({summary['low_ms']:.4g} to {summary['high_ms']:.4g})",
        milliseconds(summary.get("p90_ms")),
        milliseconds(summary.get("p99_ms")),
        milliseconds(summary.get("iqr_ms")),
        runs,
        against,
        verdict,
    )


def estimated(document: Document) -> str:
    """`7,630,000 cycles`, with `4.9 ms at 2.84 GHz` where a clock was named; the word "estimated" is beside it."""
    cycles, extra = f"{document['summary']['cycles']:,} cycles", document["extra"]
    if "estimated_ms" not in extra:
        return cycles
    return f"{cycles}, {milliseconds(extra['estimated_ms'])} at {document['summary']['clock_hz'] / 1e9:g} GHz"


def milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.4g} ms"


def notes(outcome: Outcome) -> list[str]:
    """Lines below the table: what the figures rest on, MLPerf's estimate, the sustained run, the class mix."""
    document, summary, extra = outcome.document, outcome.document["summary"], outcome.document["extra"]
    found = list(summary.get("noise", ()))
    if outcome.comparison and outcome.comparison.verdict is not Verdict.same:
        found.append(f"{outcome.comparison.verdict}: {outcome.comparison.reason}")
    if document["metric"] == "instructions":
        found.append(class_mix(summary))
    if document["metric"] == "cycles":
        found.append(what_was_estimated(summary))
    if estimate := extra.get("mlperf"):
        found.append(_mlperf(estimate))
    if run := extra.get("sustained"):
        found.append(_sustained(run))
    return found


def class_mix(summary: Mapping[str, Any]) -> str:
    """`SIMD 34 %, dot product 28 %, load/store 19 %, branch 3 %, other 16 %`."""
    total, classes = summary["instructions"], summary["classes"]
    named = {"simd": "SIMD", "dot_product": "dot product", "load_store": "load/store"}
    order = ("simd", "dot_product", "load_store", "branch", "other")
    return ", ".join(f"{named.get(name, name)} {100 * classes[name] / total:.0f} %" for name in order)


def what_was_estimated(summary: Mapping[str, Any]) -> str:
    """What an estimate is made of."""
    share = 1 - summary["core_cycles"] / summary["cycles"]
    return (
        f"estimated for one core of a {summary['board']} at {summary['clock_hz'] / 1e9:g} GHz:"
        f" {summary['instructions']:,} instructions; it waits for {summary['memory_bytes'] / 1e6:.1f} MB from memory"
        f" {100 * share:.0f} % of the cycles"
    )


def _mlperf(estimate: Mapping[str, Any]) -> str:
    if estimate["p90_ms"] is None:
        return f"MLPerf single stream: {estimate['queries']} runs, at least {estimate['needed']} are needed"
    return (
        f"MLPerf single stream: p90 at most {estimate['p90_ms']:.4g} ms with 99 % confidence"
        f" ({estimate['queries']} runs, {estimate['discarded']} slowest discarded)"
    )


def _sustained(run: Mapping[str, Any]) -> str:
    after = run["throttled_after_s"]
    end = "no throttling" if after is None else f"throttled after {after:.0f} s of running"
    return (
        f"sustained: first window {run['first_ms']:.4g} ms, last {run['last_ms']:.4g} ms ({run['ratio']:.2f}x), {end}"
    )


def write_junit(path: Path, outcomes: Sequence[Outcome], error: str | None = None) -> None:
    """One test case per file; slower is a failure, too noisy is skipped with the reason, a device's error an error."""
    suite = ET.Element("testsuite", name="edgekit bench")
    for outcome in outcomes:
        case = _case(suite, outcome)
        if outcome.verdict is Verdict.slower:
            ET.SubElement(case, "failure", message=outcome.reason, type="slower")
        elif outcome.verdict in (Verdict.too_noisy, Verdict.new):
            ET.SubElement(case, "skipped", message=f"{outcome.verdict}: {outcome.reason}")
    if error is not None:
        case = ET.SubElement(suite, "testcase", classname="edgekit.bench", name="device")
        ET.SubElement(case, "error", message=error)
    for kind, tag in (
        ("tests", "testcase"),
        ("failures", ".//failure"),
        ("skipped", ".//skipped"),
        ("errors", ".//error"),
    ):
        suite.set(kind, str(len(suite.findall(tag))))
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def _case(suite: ET.Element, outcome: Outcome) -> ET.Element:
    document, summary = outcome.document, outcome.document["summary"]
    seconds = summary.get("p50_ms", 0.0) / 1e3
    name = f"{document['model']}.{document['target']} {document['metric']}"
    case = ET.SubElement(
        suite, "testcase", classname=f"edgekit.bench.{document['device']['name']}", name=name, time=f"{seconds:.6f}"
    )
    properties = ET.SubElement(case, "properties")
    for key in ("p50_ms", "low_ms", "high_ms", "p90_ms", "p99_ms", "iqr_ms", "instructions", "cycles"):
        if summary.get(key) is not None:
            ET.SubElement(properties, "property", name=key, value=f"{summary[key]:.9g}")
    ET.SubElement(properties, "property", name="sha256", value=document["sha256"])
    return case


def annotations(outcomes: Sequence[Outcome]) -> list[str]:
    """GitHub's workflow commands, one per file with something to say."""
    found = []
    for outcome in outcomes:
        if outcome.verdict in LEVELS:
            message = f"{outcome.verdict}: {outcome.reason}"
            found.append(f"::{LEVELS[outcome.verdict]} title={_property(outcome.title)}::{_data(message)}")
    return found


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def job_summary(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table for $GITHUB_STEP_SUMMARY."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS), *(cells(outcome) for outcome in outcomes)]
    table = "\n".join(f"| {' | '.join(_cell(text) for text in row)} |" for row in rows)
    below = [f"- {_cell(outcome.title)}: {_cell(note)}" for outcome in outcomes for note in notes(outcome)]
    return "\n".join(["### edgekit bench", "", table, "", *below, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
