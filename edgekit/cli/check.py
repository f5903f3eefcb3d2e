"""`edgekit verify` and `edgekit eval`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import app
from edgekit.cli.options import JsonFlag, QuietFlag, with_options
from edgekit.cli.output import only_json_on_stdout, print_json
from edgekit.errors import EdgekitError, error_document

if TYPE_CHECKING:
    from edgekit.bundle.files import Bundle
    from edgekit.progress import Progress
    from edgekit.verify.bundle import Verified
    from edgekit.verify.layerwise import Layerwise


class Subset(StrEnum):
    """Every second image of the sorted names: one half for calibration, the other for evaluation."""

    odd = "odd"
    even = "even"


@app.command("verify")
def verify_command(
    bundle: Annotated[Path, typer.Argument(help="folder that export wrote")],
    device: Annotated[
        list[str] | None, typer.Option(metavar="D", help="run them there too; repeatable; see: edgekit devices")
    ] = None,
    layerwise: Annotated[
        bool, typer.Option("--layerwise", help="find the first operator that differs on each device")
    ] = False,
    timeout: Annotated[int, typer.Option(min=1, metavar="S", help="seconds that a device may take")] = 600,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Run a bundle's golden vectors again, from the bundle alone, here and on devices.

    Exit code 1 when the outputs differ, 3 when a device fails.
    """
    if layerwise and not device:
        raise EdgekitError(
            "EK106", what="--layerwise needs a device", where="--layerwise", fix="add --device, see: edgekit devices"
        )
    with only_json_on_stdout(as_json):
        from edgekit.bundle.files import read_bundle
        from edgekit.report.progress import shown
        from edgekit.verify.bundle import verify_bundle

        read = read_bundle(bundle)
        with shown(not quiet) as progress:
            verified = verify_bundle(read, device or [], timeout, progress)
            searches = search_layers(read, verified, timeout, progress) if layerwise else []
    failure = verified.failure
    if as_json:
        print_json({**verify_document(verified), **layerwise_document(searches)})
        if failure:
            raise typer.Exit(failure.exit_code)
        return
    show_verified(read, verified)
    show_layers(searches)
    if failure:
        raise failure


def show_verified(read: "Bundle", verified: "Verified") -> None:
    """The hops here and on devices, and what ran there."""
    from edgekit.report.terminal import HOP_FIGURES, hop_cells, hop_columns, print_table

    result = verified.golden
    hops = [*result.hops, *(row.hop for row in verified.rows)]
    several = len(read.outputs) > 1
    print_table(hop_columns(several), [hop_cells(hop, result.target, several) for hop in hops], right=HOP_FIGURES)
    held = "bit-exact" if result.bit_exact else "within the gate"
    print(f"{verified.bundle}: {result.images} golden vectors, {held}")
    for row in verified.rows:
        print(f"{row.device}: {row.summary}")


def search_layers(bundle: "Bundle", verified: "Verified", timeout_s: int, progress: "Progress") -> "list[Layerwise]":
    """The first operator that differs on every device that could be reached."""
    from edgekit.verify.layerwise import search

    found = []
    for name, outcome in verified.devices:
        if not isinstance(outcome, EdgekitError):
            progress.start(f"operators on {name}")
            found.append(search(bundle, name, timeout_s, progress.step))
            progress.finish(f"operators on {name}")
    return found


def layerwise_document(searches: "list[Layerwise]") -> dict[str, Any]:
    return {"layerwise": [search.document() for search in searches]} if searches else {}


def show_layers(searches: "list[Layerwise]") -> None:
    """What was tried on each device, and which operator is the first."""
    from edgekit.report.terminal import print_table

    columns = ("operator", "tensor", "different", "largest", "")
    for search in searches:
        rows = [
            (
                tried.cut.operator,
                tried.cut.tensor,
                f"{tried.different} of {tried.total}",
                f"{tried.of_range:.1e} of range" if tried.steps is None else f"{tried.steps} steps",
                "differs" if tried.matters else "equal",
            )
            for tried in search.tried
        ]
        if search.first is None:
            print(f"{search.device}: no operator differs ({search.cuts} of them)")
            continue
        print_table(columns, rows, right=columns[2:4])
        first = search.first.cut
        print(f"{search.device}: the first operator that differs is {first.operator}, which gives {first.tensor}")


def verify_document(verified: "Verified") -> dict[str, Any]:
    """What `edgekit verify --json` prints: one record per device."""
    from edgekit.artifact import hop_document

    devices = [
        {"device": name, "error": error_document(found)}
        if isinstance(found, EdgekitError)
        else {**found.document(), "error": None}
        for name, found in verified.devices
    ]
    return {
        "bundle": verified.bundle,
        "bit_exact": verified.golden.bit_exact,
        "hops": [hop_document(hop) for hop in verified.golden.hops],
        "devices": devices,
        "error": error_document(verified.failure) if verified.failure else None,
    }


@app.command("eval")
@with_options("weights", "num_classes", "input_size", "model_args", "preprocess")
def eval_command(
    subject: Annotated[
        str, typer.Argument(metavar="BUNDLE|MODEL", help="a bundle's folder, or a model as export takes it")
    ],
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="labelled images: class folders (or a .zip), or sorted files")
    ],
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="class names, line i is class i; WordNet ids match file names")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="N images, spread evenly")] = None,
    subset: Annotated[Subset | None, typer.Option(help="every second image of the sorted names")] = None,
    *,
    choices: dict[str, Any],
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Top-1 and top-5 accuracy on labelled images, with a 95 % interval."""
    with only_json_on_stdout(as_json):
        from edgekit.public import evaluate

        accuracy = evaluate(
            subject,
            data,
            labels=labels,
            limit=limit,
            subset=subset.value if subset else None,
            progress=not quiet,
            **choices,
        )
    if as_json:
        print_json({"subject": subject, "data": str(data), **accuracy.document(), "error": None})
        return
    print(f"{subject} on {accuracy.images} images of {data}{f' ({subset.value} half)' if subset else ''}")
    print(f"  top-1  {accuracy.top1}\n  top-5  {accuracy.top5}")
