"""A file's operators with what they cost on a core: table cells, CSV, and the section of a bundle's report."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgekit.printable import printable
from edgekit.report import markup

COLUMNS = ("operator", "module", "kernels", "instructions", "cycles", "share", "")
FIGURES = ("instructions", "cycles", "share")
BAR = 20
FIELDS = ("index", "operator", "module", "kernels", "instructions", "core_cycles", "memory_bytes", "cycles", "share")
MOST_ROWS = 400


def cells(operator: Mapping[str, Any], largest: float) -> tuple[str, ...]:
    """A row of the table; the bar is of the operator that takes most."""
    return (
        operator["operator"],
        printable(operator["module"]),
        printable(operator["kernels"]),
        f"{operator['instructions']:,}",
        f"{operator['cycles']:,}",
        f"{100 * operator['share']:.1f} %",
        "#" * round(BAR * operator["share"] / largest) if largest else "",
    )


def rows(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Every operator, and what the runtime takes between them."""
    largest = max((operator["share"] for operator in document["operators"]), default=0.0)
    found = [cells(operator, largest) for operator in document["operators"]]
    rest = document["whole"]["cycles"] - sum(operator["cycles"] for operator in document["operators"])
    return [*found, ("(between operators)", "", "", "", f"{rest:,}", f"{100 * (1 - document['covered']):.1f} %", "")]


def summary(document: Mapping[str, Any]) -> str:
    """`estimated for one core of a Raspberry Pi 4 at 1.5 GHz: ...`, with what it rests on."""
    whole = document["whole"]
    return (
        f"estimated for one core of a {whole['board']} at {whole['clock_hz'] / 1e9:g} GHz: {whole['cycles']:,} cycles,"
        f" {whole['instructions']:,} instructions, {whole['memory_bytes'] / 1e6:.1f} MB through memory;"
        f" the operators are {100 * document['covered']:.1f} % of it"
    )


def by_kind(document: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """(kind of operator, cycles, share), the largest first."""
    totals: dict[str, int] = {}
    for operator in document["operators"]:
        totals[operator["operator"]] = totals.get(operator["operator"], 0) + operator["cycles"]
    ordered = sorted(totals.items(), key=lambda item: -item[1])
    return [(kind, cycles, cycles / document["whole"]["cycles"]) for kind, cycles in ordered]


def as_csv(document: Mapping[str, Any]) -> str:
    """One line an operator, with a line of names before."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({field: operator[field] for field in FIELDS} for operator in document["operators"])
    return out.getvalue()


def html_section(documents: Iterable[Mapping[str, Any]]) -> str:
    """The section of report.html: of each device the kinds of operators as bars, and the operators as a table."""
    return "".join(_device(document) for document in documents)


def _device(document: Mapping[str, Any]) -> str:
    kinds: Sequence[tuple[str, float, str, bool]] = [
        (kind, cycles, f"{100 * share:.1f} %", True) for kind, cycles, share in by_kind(document)
    ]
    return markup.section(
        f"Cycles by operator on {document['device']}, estimated",
        markup.paragraph(f"{summary(document)}. An estimate: docs/cycles.md says what it is worth."),
        markup.bars(kinds, "estimated cycles by kind of operator"),
        markup.table(COLUMNS[:-1], [row[:-1] for row in rows(document)[:MOST_ROWS]], numeric=FIGURES),
    )
