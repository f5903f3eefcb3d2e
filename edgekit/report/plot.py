"""Plots as inline SVG on a page of one file: lines over an axis, and points with their front."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

from edgekit.report.markup import Html, table
from edgekit.report.style import CSS

WIDTH, HEIGHT = 900, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 46
TICKS = 5

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A line with a name, shown when it is pointed at."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Dot:
    """A point with a name; `best` ones are on the front."""

    name: str
    x: float
    y: float
    best: bool = field(default=False)


class _Frame:
    """From figures to pixels, between round figures."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._ticks = round_ticks([x for x, _ in points]), round_ticks([y for _, y in points])
        self._x, self._y = ((ticks[0], ticks[-1]) for ticks in self._ticks)

    def at(self, x: float, y: float) -> str:
        return f"{self.across(x):.1f},{self.up(y):.1f}"

    def across(self, x: float) -> float:
        low, high = self._x
        return LEFT + (x - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def up(self, y: float) -> float:
        low, high = self._y
        return HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def _places(self) -> tuple[tuple[Callable[[float], float], list[float]], ...]:
        return (self.across, self._ticks[0]), (self.up, self._ticks[1])

    def axes(self, labels: tuple[str, str]) -> str:
        """Grid lines with their figures, and what the axes are."""
        across, up = ([(place(tick), f"{tick:,.10g}") for tick in ticks] for place, ticks in self._places())
        parts = [
            f"<line class=grid x1={LEFT} x2={WIDTH - RIGHT} y1={y:.1f} y2={y:.1f} />"
            f"<text x={LEFT - 8} y={y + 4:.1f} text-anchor=end>{figure}</text>"
            for y, figure in up
        ]
        bottom = HEIGHT - BOTTOM + 18
        parts += [f"<text x={x:.1f} y={bottom} text-anchor=middle>{figure}</text>" for x, figure in across]
        middle = (TOP + HEIGHT - BOTTOM) / 2
        parts += [
            f"<text x={(LEFT + WIDTH - RIGHT) / 2} y={HEIGHT - 6} text-anchor=middle>{escape(labels[0])}</text>",
            f"<text transform='translate(14 {middle}) rotate(-90)' text-anchor=middle>{escape(labels[1])}</text>",
        ]
        return "".join(parts)


def round_ticks(figures: Sequence[float]) -> list[float]:
    """Round figures, from below the least to above the largest."""
    low, high = min(figures), max(figures)
    spread = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(spread / TICKS))
    step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each * TICKS >= spread * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * index, 12) for index in range(first, max(last, first + 1) + 1)]


def lines(labels: tuple[str, str], drawn: Sequence[Line]) -> Html:
    """Lines in one frame."""
    frame = _Frame([point for line in drawn for point in line.points])
    paths = "".join(
        f"<polyline class=line points='{' '.join(frame.at(*point) for point in line.points)}'>"
        f"<title>{escape(line.name)}</title></polyline>"
        for line in drawn
    )
    return _svg(labels, frame.axes(labels) + paths)


def scatter(labels: tuple[str, str], dots: Sequence[Dot]) -> Html:
    """Points, with a line through the ones on the front."""
    frame = _Frame([(dot.x, dot.y) for dot in dots])
    front = sorted((dot.x, dot.y) for dot in dots if dot.best)
    through = f"<polyline class=line points='{' '.join(frame.at(*point) for point in front)}' />" if front else ""
    circles = "".join(
        f"<circle class={'dot' if dot.best else 'worst'} cx={frame.across(dot.x):.1f} cy={frame.up(dot.y):.1f} r=5>"
        f"<title>{escape(dot.name)}</title></circle>"
        for dot in sorted(dots, key=lambda dot: dot.best)
    )
    return _svg(labels, frame.axes(labels) + through + circles)


def _svg(labels: tuple[str, str], inner: str) -> Html:
    name = escape(f"{labels[1]} over {labels[0]}", quote=True)
    drawn = f"<svg class=plot viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{name}'>{inner}</svg>"
    return Html(f"<div class=scroll>{drawn}</div>")


def page(title: str, subtitle: str, *parts: str) -> str:
    """A page of one file, light or dark as the reader's screen is."""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{CSS}</style><main><header><h1>{escape(title)}</h1>"
        f"<p class=dim>{escape(subtitle)}</p></header>{''.join(parts)}</main></html>\n"
    )


def line_page(title: str, subtitle: str, labels: tuple[str, str], drawn: Sequence[Line]) -> str:
    """Lines, and the figures as a table."""
    columns = ("line", *(f"{x:g}" for x, _ in drawn[0].points))
    rows = [(line.name, *(f"{y:.1f}" for _, y in line.points)) for line in drawn]
    return page(title, subtitle, lines(labels, drawn), table(columns, rows, numeric=columns[1:]))
