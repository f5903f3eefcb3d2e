"""`edgekit targets`, `doctor` and `explain`: what there is, without running anything."""

from platform import python_version
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import app
from edgekit.cli.options import JsonFlag
from edgekit.cli.output import print_json
from edgekit.errors import CATALOGUE, EXIT_CODES, EdgekitError, did_you_mean, error_document

if TYPE_CHECKING:
    from edgekit.target import Target


@app.command("targets")
def targets_command(
    name: Annotated[str | None, typer.Argument(help="show one target")] = None, as_json: JsonFlag = False
) -> None:
    """List the targets: what is written, in which numbers, and the gate it must pass."""
    from edgekit.costs import TUNES, UNTUNED
    from edgekit.target import targets

    documents = [target_document(target) for target in ([targets.get(name)] if name else targets)]
    if as_json:
        print_json({"targets": documents, "tune": {"cores": list(TUNES), "default": list(UNTUNED)}})
        return
    from edgekit.report.terminal import print_table

    columns = ("target", "file", "weights", "activations", "gate", "what")
    print_table(columns, [tuple(str(document[c]) for c in columns) for document in documents])
    typer.echo(f"forms of int8 operators are chosen for {' and '.join(UNTUNED)}; --tune {'|'.join(TUNES)} for one core")


def target_document(target: "Target") -> dict[str, Any]:
    """One target as JSON."""
    from edgekit.report.markdown import gate_text

    return {
        "target": target.name,
        "file": target.model_file,
        "weights": target.scheme.weight,
        "activations": target.scheme.activation,
        "gate": gate_text(target.tolerance),
        "what": target.summary,
        "min_runtime": target.min_runtime,
    }


@app.command("doctor")
def doctor_command(as_json: JsonFlag = False) -> None:
    """Say what is installed, in which version, and what is missing. Exit code 3 when a needed package is missing."""
    from edgekit import environment

    needed = {"python": python_version(), **{name: environment.installed(name) for name in environment.needed()}}
    optional = {name: environment.installed(name) for name in environment.optional()}
    missing = [package for package, version in needed.items() if version is None]
    telemetry = "edgekit sends nothing; ONNX Runtime's telemetry is switched off (ORT_DISABLE_TELEMETRY=1)"
    failure = _missing_packages(missing) if missing else None
    if as_json:
        error = error_document(failure) if failure else None
        print_json({"packages": needed, "optional": optional, "telemetry": telemetry, "error": error})
        raise typer.Exit(failure.exit_code if failure else 0)
    for package, version in {**needed, **optional}.items():
        absent = "not installed (optional)" if package in optional else "MISSING"
        print(f"{package:<16} {version or absent}")
    print(f"{'telemetry':<16} {telemetry}")
    if failure:
        raise failure


def _missing_packages(missing: list[str]) -> EdgekitError:
    return EdgekitError(
        "EK701",
        what=f"not installed: {', '.join(missing)}",
        where="this Python environment",
        fix=f"pip install {' '.join(missing)}",
    )


@app.command("explain")
def explain_command(
    code: Annotated[
        str | None, typer.Argument(metavar="EKnnn", help="an error code; without one, all are listed")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what an error code means."""
    if code is None:
        chosen = CATALOGUE
    elif code.upper() in CATALOGUE:
        chosen = {code.upper(): CATALOGUE[code.upper()]}
    else:
        fix = did_you_mean(code.upper(), list(CATALOGUE), "list them with: edgekit explain")
        raise EdgekitError("EK101", what=f"unknown error code {code!r}", where="error code", fix=fix)
    if as_json:
        print_json(
            {"codes": [{"code": c, "meaning": m, "exit_code": EXIT_CODES[int(c[2])]} for c, m in chosen.items()]}
        )
        return
    for name, meaning in chosen.items():
        print(f"{name}  {meaning} (exit code {EXIT_CODES[int(name[2])]})")
