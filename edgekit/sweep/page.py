"""A sweep as a table, in the terminal and as an HTML page with the plot of its front."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.report.markup import paragraph, section, table
from edgekit.report.plot import Dot, page, scatter
from edgekit.sweep.front import cost_of, front, quality_of

COLUMNS = ("model", "method", "ratio", "size", "target", "device", "quality", "cost", "file", "front", "error")
NAMES = {
    "top1": "top-1, %",
    "agreement": "images with the whole model's class, %",
    "p50_ms": "latency, ms",
    "cycles": "estimated cycles, millions",
    "instructions": "instructions, millions",
    "macs": "MACs, millions",
}
UNITS = {"agreement": 100.0, "cycles": 1e-6, "instructions": 1e-6, "macs": 1e-6}


def done(documents: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Cells with a file."""
    return [document for document in documents if document["status"] == "ok"]


def figure(document: Mapping[str, Any], name: str) -> float | None:
    value = document.get(name)
    return None if value is None else float(value) * UNITS.get(name, 1.0)


def rows(documents: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A row per cell, the front marked; a cell without a file says why."""
    good = done(documents)
    best = {document["key"]: is_best for document, is_best in zip(good, front(good), strict=True)}
    quality, cost = quality_of(good), cost_of(good)
    found: list[tuple[str, ...]] = []
    for d in documents:
        named = (d["model"], d["method"], _text(d["ratio"]), str(d["input_size"] or ""), d["target"], d["device"])
        if d["status"] == "ok":
            size = f"{d['size_bytes'] / 1e6:.2f} MB"
            told = (_text(figure(d, quality)), _text(figure(d, cost)), size, "*" if best[d["key"]] else "", "")
        else:
            told = ("", "", "", "", d.get("error", "")[:80] or "not computed yet")
        found.append((*named, *told))
    return found


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def html(title: str, documents: Sequence[Mapping[str, Any]]) -> str:
    """The page of one file."""
    good = done(documents)
    subtitle = f"{len(documents)} cells, {len(good)} with a file"
    parts = []
    if good:
        quality, cost = quality_of(good), cost_of(good)
        for device in dict.fromkeys(d["device"] for d in good):
            here = [d for d in good if d["device"] == device]
            dots = [
                Dot(label(d), x, y, is_best)
                for d, is_best in zip(here, front(here), strict=True)
                if (x := figure(d, cost)) is not None and (y := figure(d, quality)) is not None
            ]
            if dots:
                parts.append(section(f"Front on {device}", scatter((NAMES[cost], NAMES[quality]), dots)))
        parts.append(
            paragraph(f"quality: {NAMES[quality]}; cost: {NAMES[cost]}; * no other cell on the device beats it")
        )
    parts.append(section("Cells", table(COLUMNS, rows(documents), numeric=("ratio", "quality", "cost", "file"))))
    return page(title, subtitle, *parts)


def label(document: Mapping[str, Any]) -> str:
    parts = (
        document["model"],
        document["method"],
        _text(document["ratio"]),
        document["input_size"],
        document["target"],
    )
    return " ".join(str(part) for part in parts if part)
