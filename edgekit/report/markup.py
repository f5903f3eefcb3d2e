"""The few pieces of HTML that the report is made of. Every text is escaped that is not HTML already."""

from collections.abc import Iterable, Sequence
from html import escape


class Html(str):
    """Text that is HTML already."""


def escaped(text: str) -> str:
    return text if isinstance(text, Html) else escape(text)


def section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def paragraph(text: str) -> str:
    return f"<p class=dim>{escape(text)}</p>"


def badge(passed: bool, text: str) -> Html:
    return Html(f"<span class='badge {'pass' if passed else 'fail'}'>{escape(text)}</span>")


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
        "<tr>" + "".join(f"<td{s}>{escaped(cell)}</td>" for s, cell in zip(style, row, strict=True)) + "</tr>"
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
    """A bar chart: (name, value, value as text, whether it is good), the longest bar across the full width.

    Boxes rather than SVG: text keeps its size when the page is as narrow as a phone.
    """
    longest = max((value for _, value, _, _ in rows), default=0) or 1
    drawn = "".join(
        f"<div class=name>{escape(name)}</div><div class=track>"
        f"<div class='bar{'' if good else ' bad'}' style='width:{_percent(value, longest)}%'></div></div>"
        f"<div class=value>{escape(text)}</div>"
        for name, value, text, good in rows
    )
    return f"<div class=bars role=img aria-label='{escape(label)}'>{drawn}</div>"


def _percent(value: float, longest: float) -> str:
    return f"{max(0.5, 100 * max(value, 0) / longest):.1f}"
