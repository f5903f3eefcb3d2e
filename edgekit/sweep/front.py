"""The cells that no other one beats."""

from collections.abc import Mapping, Sequence
from typing import Any

QUALITY = ("top1", "agreement")
COSTS = ("p50_ms", "cycles", "instructions", "macs")
SIZE = "size_bytes"


def quality_of(documents: Sequence[Mapping[str, Any]]) -> str:
    """The first measure of quality that all cells with a file have."""
    return _first(QUALITY, documents)


def cost_of(documents: Sequence[Mapping[str, Any]]) -> str:
    return _first(COSTS, documents)


def _first(names: Sequence[str], documents: Sequence[Mapping[str, Any]]) -> str:
    return next((n for n in names if documents and all(d.get(n) is not None for d in documents)), names[-1])


def front(documents: Sequence[Mapping[str, Any]]) -> list[bool]:
    """For each cell whether no other is at least as good in quality, cost and size, and better in one.

    Cells are compared on the same device only: what one costs says nothing of another.
    """
    quality, cost = quality_of(documents), cost_of(documents)

    def figures(document: Mapping[str, Any]) -> tuple[float, ...]:
        values = (document.get(quality), document.get(cost), document.get(SIZE))
        best, price, size = (float(v) if v is not None else float("nan") for v in values)
        return (-best, price, size)

    points = [(document["device"], figures(document)) for document in documents]
    return [
        all(value == value for value in point)  # NaN: a figure is missing
        and not any(_beats(other, point) for where, other in points if where == device)
        for device, point in points
    ]


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other
