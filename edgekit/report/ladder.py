"""The part of report.html about quantization: rungs, kept operators, layers; and a layer's row for the terminal."""

from collections.abc import Sequence
from html import escape
from typing import Any

from edgekit.ladder.climb import RECEIPT_COLUMNS, receipt_row
from edgekit.ladder.data_free import DataFree
from edgekit.quant.diagnosis import EQUAL_DB
from edgekit.report import markup
from edgekit.report.quantization import integers_of, quantization_document
from edgekit.run import Run

WIDTH, HEIGHT, MARGIN = 900, 260, 34
LAYER_COLUMNS = ("layer", "module", "alone", "accumulated", "clipped", "range kept", "dead channels")


def layer_cells(layer: dict[str, Any]) -> tuple[str, ...]:
    """One layer of a diagnosis document as text cells."""
    if layer["float32"]:
        return (layer["operator"], layer["module"], "float32", decibels(layer["sqnr_db"]), "-", "-", "-")
    return (
        layer["operator"],
        layer["module"],
        decibels(layer["alone_db"]),
        decibels(layer["sqnr_db"]),
        f"{100 * layer['clipped']:.2f} %",
        f"{100 * layer['range_kept']:.0f} %",
        f"{layer['dead']} of {layer['channels']}" if layer["dead"] else "0",
    )


def decibels(value: float) -> str:
    return "equal" if value >= EQUAL_DB else f"{value:.1f} dB"


def quantization_section(run: Run, target: str) -> str:
    """The part of report.html about quantization; empty for a float target."""
    document, integers = quantization_document(run, target), integers_of(run, target)
    if document is None or integers is None:
        return ""
    receipt = integers.receipt
    parts = [markup.paragraph(f"Warning: {warning}.") for warning in run.images.warnings]
    if run.recipe.kept_float:
        parts.append(markup.paragraph(f"In float32, as asked for: {', '.join(run.recipe.kept_float)}."))
    if receipt is not None:
        demand = f" Asked for: {receipt.demand}." if receipt.demand != "none" else ""
        parts.append(markup.paragraph(f"Rungs on {receipt.images}, measured on the file of {receipt.target}.{demand}"))
        rows = [receipt_row(line) for line in receipt.tried]
        parts.append(markup.table(RECEIPT_COLUMNS, rows, numeric=RECEIPT_COLUMNS[1:-1]))
        kept = receipt.tried[-1].kept
        if kept:
            parts.append(markup.paragraph("Kept in float32, most accuracy gained per microsecond lost first:"))
            cells = [(one.operator, one.module, f"{100 * one.gain:.1f} %", f"{one.lost_us:.1f}") for one in kept]
            columns = ("operator", "module", "noise gone", "estimated us lost")
            parts.append(markup.table(columns, cells, numeric=columns[2:]))
    if integers.data_free is not None:
        parts += data_free_parts(integers.data_free)
    diagnosis = document["diagnosis"]
    if diagnosis is not None and diagnosis["layers"]:
        parts += diagnosis_parts(diagnosis)
    return markup.section(f"Quantization: {document['quality'] or document['method']['name']}", *parts)


def data_free_parts(compared: DataFree) -> list[str]:
    """Distilled against real images."""
    columns = ("calibrated on", *RECEIPT_COLUMNS[1:6])
    rows = [receipt_row(line)[:6] for line in compared.receipt.tried]
    low, middle, high = compared.widths
    return [
        markup.paragraph(
            f"Calibrated on images that were made, and on real ones instead; measured on {compared.receipt.images} that"
            f" neither saw. Activations range {middle:.2f} times as far on the real ones ({low:.2f} to {high:.2f} for"
            " nine of ten):"
        ),
        markup.table(columns, rows, numeric=columns[1:]),
    ]


def diagnosis_parts(diagnosis: dict[str, Any]) -> list[str]:
    """Plot, verdict and table of a diagnosis document."""
    worst, layers = diagnosis["culprit"], diagnosis["layers"]
    verdict = "" if worst is None else f"Weakest on its own: {worst['operator']} {worst['module']}. "
    rows = [layer_cells(layer) for layer in sorted(layers, key=lambda layer: layer["alone_db"])[:20]]
    return [
        markup.paragraph(
            f"Float against integers, layer by layer, on {diagnosis['images']} inputs. {verdict}"
            f"What would help: {diagnosis['advice']}."
        ),
        plot(layers, worst["node"] if worst else ""),
        markup.paragraph("The twenty layers that lose most on their own:"),
        markup.table(LAYER_COLUMNS, rows, numeric=LAYER_COLUMNS[2:]),
    ]


def plot(layers: Sequence[dict[str, Any]], culprit: str) -> str:
    """SQNR over the layers, alone (dots) and accumulated (line), as inline SVG with the names as tooltips."""
    top = 60.0
    wide, high = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN

    def place(index: int, value: float) -> tuple[float, float]:
        x = MARGIN + wide * (index + 0.5) / len(layers)
        return x, MARGIN + high * (1 - min(max(value, 0.0), top) / top)

    lines = "".join(
        f"<line x1={MARGIN} x2={WIDTH - MARGIN} y1={place(0, db)[1]:.1f} y2={place(0, db)[1]:.1f} class=grid />"
        f"<text x={MARGIN - 6} y={place(0, db)[1] + 4:.1f} text-anchor=end>{db}</text>"
        for db in range(0, int(top) + 1, 20)
    )
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(i, layer["sqnr_db"]) for i, layer in enumerate(layers)))
    dots = "".join(dot(layer, *place(i, layer["alone_db"]), layer["node"] == culprit) for i, layer in enumerate(layers))
    return (
        f"<div class=scroll><svg class=plot viewBox='0 0 {WIDTH} {HEIGHT}' role=img"
        f" aria-label='SQNR of every layer in dB'>{lines}<polyline points='{path}' class=line />{dots}"
        f"<text x={MARGIN} y=16>SQNR in dB: dots, a layer alone (red: the weakest); line, accumulated</text>"
        f"<text x={WIDTH - MARGIN} y={HEIGHT - 8} text-anchor=end>layers, input to output</text></svg></div>"
    )


def dot(layer: dict[str, Any], x: float, y: float, worst: bool) -> str:
    name = escape(
        f"{layer['module']} {layer['operator']}: {decibels(layer['alone_db'])} alone, "
        f"{decibels(layer['sqnr_db'])} accumulated"
    )
    size, kind = (6, "worst") if worst else (3.5, "dot")
    return f"<circle cx={x:.1f} cy={y:.1f} r={size} class={kind}><title>{name}</title></circle>"
