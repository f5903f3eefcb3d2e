"""How a Run shows itself: in lines where a REPL asks, as the terminal's table where a notebook asks."""

from html import escape

from edgekit.artifact import Artifact
from edgekit.report import markup
from edgekit.report.style import DARK, LIGHT
from edgekit.report.terminal import HOP_FIGURES, described, hop_columns, hop_text, share, size, sqnr, told_once
from edgekit.run import Result, Run, compared_on

TARGET_COLUMNS = ("target", "came to", "size", "SQNR, end to end", "top-1 same", "inputs and outputs", "where")

DARK_THEMES = (
    '[data-jp-theme-light="false"] .edgekit',  # JupyterLab
    "body.vscode-dark .edgekit",
    'html[theme="dark"] .edgekit',  # Colab
    'html[data-theme="dark"] .edgekit',  # Sphinx
)
LIGHT_THEMES = ('[data-jp-theme-light="true"] .edgekit', "body.vscode-light .edgekit", 'html[theme="light"] .edgekit')

STYLE = f"""
.edgekit {{ {LIGHT} color: var(--ink); font-size: 13px; line-height: 1.5; }}
@media (prefers-color-scheme: dark) {{ .edgekit {{ {DARK} }} }}
{", ".join(LIGHT_THEMES)} {{ {LIGHT} }}
{", ".join(DARK_THEMES)} {{ {DARK} }}
.edgekit p {{ margin: 4px 0 10px; }} .edgekit .dim {{ color: var(--dim); }}
.edgekit .scroll {{ overflow-x: auto; margin-bottom: 10px; }}
.edgekit table {{ border-collapse: collapse; margin: 0; font-size: inherit; color: inherit; }}
.edgekit tr, .edgekit tr:hover {{ background: none !important; }}
.edgekit th {{ text-align: left !important; color: var(--dim); font-weight: 500; white-space: nowrap; }}
.edgekit th, .edgekit td {{ padding: 3px 16px 3px 0; border: 0; border-bottom: 1px solid var(--line); }}
.edgekit td {{ text-align: left !important; vertical-align: top; }}
.edgekit td.num, .edgekit th.num {{ text-align: right !important; font-variant-numeric: tabular-nums;
  white-space: nowrap; }}
.edgekit .badge {{ border-radius: 999px; padding: 0 9px; font-weight: 600; }}
.edgekit .pass {{ color: var(--good); background: var(--good-wash); }}
.edgekit .fail {{ color: var(--bad); background: var(--bad-wash); }}
"""


def run_text(run: Run) -> str:
    """A line for the model, and one for each target: what it came to, its size, its worst output's SQNR, its folder."""
    rows = [(result.target.name, verdict(result), _words(result)) for result in run.results]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n  ".join([f"Run of {run.source.name}, {_shape(run)}", *lines])


def run_html(run: Run) -> str:
    """The tables of `edgekit export`, light and dark as the notebook is; nothing in it is loaded from elsewhere."""
    compared = compared_on(run)
    parts = (
        f"<style>{STYLE}</style><p><b>{escape(run.source.name)}</b> {escape(_shape(run))}</p>",
        _hops(run) + markup.paragraph(compared) if run.artifacts else "",
        *(markup.paragraph(f"note: {note}") for note in run.source.notes),
        markup.paragraph(f"assumed {run.source.assumption}") if run.source.assumption else "",
        *(markup.paragraph(f"warning: {warning}") for warning in run.images.warnings),
        markup.table(TARGET_COLUMNS, map(_cells, run.results), numeric=TARGET_COLUMNS[2:5]),
    )
    return f"<div class=edgekit>{''.join(parts)}</div>"


def verdict(result: Result) -> str:
    """What a target came to, in a word."""
    return "refused" if result.artifact is None else "passed" if result.passed else "failed"


def _hops(run: Run) -> str:
    hops = {name: artifact.parity.hops for name, artifact in run.artifacts.items()}
    several = any(len(hop.outputs) > 1 for found in hops.values() for hop in found)
    told = [hop_text(hop, name, several) for name, hop in told_once(hops)]
    rows = [(*cells, markup.badge(held == "pass", held) if held else "") for *cells, held in told]
    return markup.table(hop_columns(several), rows, numeric=HOP_FIGURES)


def _words(result: Result) -> str:
    """The rest of a target's line."""
    if result.artifact is None:
        return _reason(result)
    return f"{size(len(result.artifact.emitted.data)):>9}  SQNR {_worst(result.artifact):>8}  {result.folder}"


def _cells(result: Result) -> tuple[str, ...]:
    """A target's row of the table."""
    start = result.target.name, markup.badge(result.passed, verdict(result))
    if result.artifact is None:
        return (*start, "", "", "", "", _reason(result))
    emitted, agreement = result.artifact.emitted, result.artifact.parity.hops[-1].agreement
    figures = size(len(emitted.data)), _worst(result.artifact), share(agreement)
    return (*start, *figures, f"{described(emitted.inputs)} in, {described(emitted.outputs)} out", str(result.folder))


def _worst(artifact: Artifact) -> str:
    """The end-to-end SQNR of the worst output, named where there are several."""
    hop = artifact.parity.hops[-1]
    return sqnr(hop.worst) + (f" ({hop.worst.output})" if len(hop.outputs) > 1 else "")


def _reason(result: Result) -> str:
    return f"{result.refused.code} {result.refused.what}" if result.refused is not None else ""


def _shape(run: Run) -> str:
    return "x".join(map(str, run.source.input_shape))
