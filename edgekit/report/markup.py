"""The few pieces of HTML and SVG that the report is made of. Every text passes through `escape`."""

from collections.abc import Iterable, Sequence
from html import escape

BAR_HEIGHT, ROW_HEIGHT, CHART_WIDTH = 16, 44, 640


def section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def paragraph(text: str) -> str:
    return f"<p class=dim>{escape(text)}</p>"


def badge(passed: bool, text: str) -> str:
    return f"<span class='badge {'pass' if passed else 'fail'}'>{escape(text)}</span>"


def cards(figures: Iterable[tuple[str, str]]) -> str:
    """(figure, what it is) as tiles."""
    tiles = "".join(
        f"<div class=card><b>{escape(figure)}</b><span>{escape(what)}</span></div>" for figure, what in figures
    )
    return f"<div class=cards>{tiles}</div>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: Sequence[str] = ()) -> str:
    """A table that scrolls sideways on a narrow screen; `numeric` columns are set right, in figures of one width."""
    style = [" class=num" if column in numeric else "" for column in columns]
    head = "".join(f"<th{s}>{escape(c)}</th>" for s, c in zip(style, columns, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{s}>{escape(cell)}</td>" for s, cell in zip(style, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Name and value, one row each; values may break anywhere (hashes, paths)."""
    rows = "".join(
        f"<tr><td class='key dim'>{escape(name)}</td><td class=wide><code>{escape(value)}</code></td></tr>"
        for name, value in pairs
    )
    return f"<table><tbody>{rows}</tbody></table>"


def steps(sentences: Iterable[str]) -> str:
    return "<ol>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ol>"


def bars(rows: Sequence[tuple[str, float, str, bool]], label: str) -> str:
    """A bar chart: (name, value, value as text, whether it is good), the longest bar across the full width."""
    longest = max((value for _, value, _, _ in rows), default=0) or 1
    parts = []
    for index, (name, value, text, good) in enumerate(rows):
        top = index * ROW_HEIGHT
        width = max(2.0, CHART_WIDTH * max(value, 0) / longest)
        parts += [
            f"<text x=0 y={top + 14}>{escape(name)}</text>",
            f"<text x={CHART_WIDTH} y={top + 14} text-anchor=end class=dim>{escape(text)}</text>",
            f"<rect class=track x=0 y={top + 20} width={CHART_WIDTH} height={BAR_HEIGHT} rx=4 />",
            f"<rect{'' if good else ' class=bad'} x=0 y={top + 20} width={width:.1f} height={BAR_HEIGHT} rx=4 />",
        ]
    height = max(1, len(rows)) * ROW_HEIGHT
    return f"<svg viewBox='0 0 {CHART_WIDTH} {height}' role=img aria-label='{escape(label)}'>{''.join(parts)}</svg>"
