"""`edgekit profile`: what each operator of a file costs on a core that need not be at hand."""

from pathlib import Path
from typing import Annotated, Any

import typer

from edgekit.cli import app
from edgekit.cli.bench import parse_clock
from edgekit.cli.options import JsonFlag, QuietFlag
from edgekit.cli.output import only_json_on_stdout, print_json
from edgekit.errors import EdgekitError


@app.command("profile")
def profile_command(
    subject: Annotated[
        Path, typer.Argument(metavar="BUNDLE|FILE", help="a folder that export wrote, or a model file alone")
    ],
    device: Annotated[str, typer.Option(metavar="D", help="an emulated one: emulated:pi4")] = "emulated:pi4",
    clock: Annotated[
        str | None, typer.Option(metavar="2.4GHz", help="estimate for this clock, and show milliseconds too")
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="write one line an operator")] = None,
    keep: Annotated[
        bool, typer.Option("--keep/--no-keep", help="profile.json and a section of report.html in the bundle")
    ] = True,
    timeout: Annotated[int, typer.Option(min=1, metavar="S", help="seconds that the device may take")] = 600,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Instructions and estimated cycles of each operator, on an emulated core.

    With the PyTorch module that it came from and its share of the inference. An estimate, for one thread.
    """
    clock_hz = parse_clock(clock)
    with only_json_on_stdout(as_json):
        document = measure(subject, device, timeout, quiet, clock_hz)
        if keep and subject.is_dir():
            keep_in_bundle(subject, document)
        if csv is not None:
            write_csv(csv, document)
    if as_json:
        print_json({"subject": str(subject), **document, "error": None})
        return
    show(document)


def measure(subject: Path, device: str, timeout_s: int, quiet: bool, clock_hz: float | None) -> dict[str, Any]:
    """The profile as JSON."""
    from edgekit.bench.operators import profile_operators
    from edgekit.bench.subject import find_subject
    from edgekit.devices.run_model import open_device
    from edgekit.report.progress import shown

    found = find_subject(subject)
    with open_device(device, exclusive=True) as opened, shown(not quiet) as progress:
        progress.start(f"profile on {device}")
        profile = profile_operators(opened, found, timeout_s, clock_hz)
        progress.finish(f"profile on {device}")
    document = profile.document()
    if clock_hz is not None:
        document["estimated_ms"] = profile.estimated.milliseconds
    return document


def keep_in_bundle(folder: Path, document: dict[str, Any]) -> None:
    from edgekit.bundle.profile import keep_profile, show_in_report
    from edgekit.report.profile import html_section

    profiles = keep_profile(folder, document)
    show_in_report(folder, html_section(profiles.values()))


def write_csv(file: Path, document: dict[str, Any]) -> None:
    from edgekit.report.profile import as_csv

    try:
        file.write_text(as_csv(document), encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EdgekitError(
            "EK702", what=f"the table cannot be written: {reason}", where=str(file), fix="name another --csv FILE"
        ) from error


def show(document: dict[str, Any]) -> None:
    """The table, the kinds of operators, and what the estimate rests on."""
    from edgekit.report.profile import COLUMNS, FIGURES, by_kind, rows, summary
    from edgekit.report.terminal import print_table

    print_table(COLUMNS, rows(document), right=FIGURES)
    print(", ".join(f"{kind} {100 * share:.1f} %" for kind, _, share in by_kind(document)))
    print(f"{document['device']}: {summary(document)}")
    if "estimated_ms" in document:
        print(f"estimated {document['estimated_ms']:.4g} ms at {document['whole']['clock_hz'] / 1e9:g} GHz")
