"""`edgekit diagnose`: where an int8 file loses its accuracy."""

from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli import app
from edgekit.cli.options import JsonFlag
from edgekit.cli.output import print_json


@app.command("diagnose")
def diagnose_command(
    bundle: Annotated[Path, typer.Argument(help="folder that export wrote, also that of a failed gate")],
    every: Annotated[bool, typer.Option("--all", help="every layer in order, not only the weakest")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Name the layers of an integer file that lose most against float, and what would help.

    Alone is what a layer loses with exact operands, accumulated what really arrives; both were measured at export, on
    the same inputs. report.html in the bundle has the plot.
    """
    from edgekit.bundle.diagnosis import read_diagnosis

    document = read_diagnosis(bundle)
    if as_json:
        print_json({"bundle": str(bundle), **document, "error": None})
        return
    from edgekit.report.ladder import LAYER_COLUMNS, layer_cells
    from edgekit.report.terminal import print_table

    layers, worst = document["layers"], document["culprit"]
    shown = layers if every else sorted(layers, key=lambda layer: layer["alone_db"])[:10]
    print_table(LAYER_COLUMNS, [layer_cells(layer) for layer in shown], right=LAYER_COLUMNS[2:])
    quality, method = document["quality"], document["method"]["name"]
    how = f"quality {quality}" if quality else f"method {method}"
    print(f"{len(layers)} layers, {document['images']} inputs; {how}")
    if worst is not None:
        print(f"weakest on its own: {worst['operator']} {worst['module']}, {worst['alone_db']:.1f} dB")
    print(f"what would help: {document['advice']}")
