"""report.html of a run: the curves, what was chosen, and what was left out. Nothing in it is loaded from elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite
from typing import Any

from edgekit import __version__
from edgekit.report import markup
from edgekit.report.style import CSS

WIDTH, HEIGHT = 720, 240  # of a plot, in units of its own
LEFT, RIGHT, TOP, BOTTOM = 84, 12, 14, 28  # margins for the numbers
PLOT_CSS = """
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 18px; }
.curves figure { margin: 0; } .curves figcaption { color: var(--dim); font-size: .88rem; margin-bottom: 2px; }
.curves svg { width: 100%; height: auto; display: block; font-size: 19px; }
.curves text { fill: var(--dim); } .curves .grid { stroke: var(--line); }
.curves .floor { stroke: var(--dim); stroke-dasharray: 6 5; }
.curves polyline { fill: none; stroke: var(--blue); stroke-width: 2.5; stroke-linejoin: round; }
.curves circle { fill: var(--blue); }
"""


@dataclass(frozen=True, slots=True)
class Curve:
    """One figure over the epochs.

    Args:
        values: None where it was not measured.
        floor: a value that it cannot fall below, drawn as a broken line.
    """

    title: str
    values: Sequence[float | None]
    floor: float | None = None


def render(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    epochs: int,
    facts: Mapping[str, str],
    choices: Mapping[str, str],
    unreadable: Sequence[tuple[str, str]],
    floor: float | None,
) -> bytes:
    """The page.

    Args:
        rows: of metrics.csv.
        epochs: that the run will have.
        facts: what was found: images, classes, where the net began.
        choices: every option.
        unreadable: (name, why) of the images that were left out.
        floor: the smallest loss that there is, the entropy of smoothed labels.
    """
    done = f"{len(rows)} of {epochs} epochs" if len(rows) < epochs else f"{epochs} epochs"
    measured = [row["figure"] for row in rows if row["figure"] is not None]
    last = rows[-1] if rows else None
    figures = [
        *((f"{measured[-1]:.2f} %", "top-1, averaged weights") for _ in measured[:1]),
        *((f"{max(measured):.2f} %", "best epoch") for _ in measured[:1]),
        *((f"{last['loss']:.3f}", "training loss") for _ in rows[:1] if last),
        *((f"{last['images_per_s']:,.0f}", "images/s, last epoch") for _ in rows[:1] if last),
        *((f"{100 * last['computing']:.1f} %", "of it in forward, backward, step") for _ in rows[:1] if last),
    ]
    curves = [
        Curve("training loss", [row["loss"] for row in rows], floor),
        Curve("top-1 in percent", [row["figure"] for row in rows]),
        Curve("learning rate", [row["rate"] for row in rows]),
        Curve("images per second", [row["images_per_s"] for row in rows]),
    ]
    drawn = "".join(plot(curve) for curve in curves if any(value is not None for value in curve.values))
    parts = [
        f"<header><h1>{escape(name)} <small>training</small></h1>{markup.badge(len(rows) >= epochs, done)}</header>",
        markup.cards(figures),
        markup.section("Curves", f"<div class=curves>{drawn}</div>" if drawn else markup.paragraph("no epoch yet")),
        markup.section("What it learned from", markup.facts(facts.items())),
    ]
    if unreadable:
        told = markup.paragraph(f"{len(unreadable)} images could not be read and were left out.")
        parts.append(markup.section("Images left out", told, markup.table(("image", "why"), unreadable[:100])))
    parts.append(markup.section("Choices", markup.facts(choices.items())))
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(name)}: training</title><style>{CSS}{PLOT_CSS}</style></head><body><main>"
        f"{''.join(parts)}<footer>edgekit {escape(__version__)}</footer></main></body></html>\n"
    ).encode("utf-8", "replace")


def plot(curve: Curve) -> str:
    """An SVG of one curve: epochs to the right, from 1; a dot for each where they are few."""
    known = [(epoch, value) for epoch, value in enumerate(curve.values, 1) if value is not None and isfinite(value)]
    if not known:
        return ""
    shown = [value for _, value in known] + ([curve.floor] if curve.floor is not None else [])
    low, high = _range(min(shown), max(shown))
    last = max(len(curve.values), 2)

    def x(epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (epoch - 1) / (last - 1)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    levels = [low + (high - low) * share for share in (0, 0.5, 1)]
    grid = "".join(
        f"<line class=grid x1={LEFT} x2={WIDTH - RIGHT} y1={y(v):.1f} y2={y(v):.1f} />"
        f"<text x={LEFT - 6} y={y(v) + 6:.1f} text-anchor=end>{_short(v)}</text>"
        for v in levels
    )
    ticks = "".join(
        f"<text x={x(epoch):.1f} y={HEIGHT - 6} text-anchor={anchor}>{epoch}</text>"
        for epoch, anchor in ((1, "start"), (len(curve.values), "end"))
        if epoch > 1 or anchor == "start"
    )
    floor = ""
    if curve.floor is not None:
        at = f"{y(curve.floor):.1f}"
        floor = (
            f"<line class=floor x1={LEFT} x2={WIDTH - RIGHT} y1={at} y2={at}><title>{curve.floor:.4f}</title></line>"
        )
    line = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in known)
    dots = "".join(
        f"<circle cx={x(epoch):.1f} cy={y(value):.1f} r={4 if len(known) <= 60 else 1.5}>"
        f"<title>epoch {epoch}: {value:.5g}</title></circle>"
        for epoch, value in known
    )
    said = f"{curve.title}, from {known[0][1]:.4g} to {known[-1][1]:.4g}"
    caption = escape(curve.title) + (", broken line: the entropy of the smoothed labels" if floor else "")
    return (
        f"<figure><figcaption>{caption}</figcaption>"
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{escape(said)}'>{grid}{ticks}{floor}"
        f"<polyline points='{line}' />{dots}</svg></figure>"
    )


def _range(low: float, high: float) -> tuple[float, float]:
    """Some room around; a flat line has a range as well."""
    margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return (low - margin if low - margin >= 0 or low < 0 else 0.0), high + margin


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.01 or value == 0 else f"{value:.1e}"
