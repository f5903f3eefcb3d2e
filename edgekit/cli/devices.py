"""`edgekit devices`: what models can be run on, and putting the runner there."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import app
from edgekit.cli.options import JsonFlag
from edgekit.cli.output import print_json
from edgekit.errors import EdgekitError, error_document

if TYPE_CHECKING:
    from edgekit.devices.device import Device, DeviceInfo
    from edgekit.target import Runtime

SETUP = "setup"
SETUP_TIMEOUT_S = 120


@app.command("devices")
def devices_command(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME | setup NAME]", help="a name from devices.toml or a URI; without one, all"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the devices that are configured or connected, show one, or put the runner on one (setup NAME)."""
    given = words or []
    if given and given[0] == SETUP and len(given) == 2:
        document = {"devices": [set_up(given[1])]}
    elif len(given) <= 1 and given != [SETUP]:
        document = {"devices": look_at(given or None)}
    else:
        raise EdgekitError(
            "EK106",
            what=f"cannot do {' '.join(given)!r}",
            where="devices",
            fix="write: edgekit devices [NAME], or: edgekit devices setup NAME",
        )
    if as_json:
        print_json({**document, "error": None})
        return
    show(document["devices"])
    if given and (error := document["devices"][0].get("error")):
        raise typer.Exit(error["exit_code"])


def look_at(names: list[str] | None) -> list[dict[str, Any]]:
    """One document per device, all asked at once: a board that is switched off takes its ten seconds to say so."""
    from concurrent.futures import ThreadPoolExecutor

    from edgekit.devices.settings import available, configured

    configured()  # a devices.toml that cannot be read is one error, and not what each device says
    chosen = names or available()
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(ask, chosen))


def ask(name: str) -> dict[str, Any]:
    """What a device says about itself, or why it does not."""
    from edgekit.devices.run_model import open_device

    try:
        with open_device(name, exclusive=False) as device:
            return info_document(device.info())
    except EdgekitError as error:
        return {"device": name, "reachable": False, "error": error_document(error)}


def set_up(name: str) -> dict[str, Any]:
    """Put the runner for every runtime there, in place of what is there, and let each run a model.

    Raises:
        EdgekitError: what the first runtime said, where none of them runs on the device.
    """
    from edgekit.devices.run_model import open_device
    from edgekit.target import runtimes

    with open_device(name) as device:
        fitting = [runtime for runtime in runtimes() if runtime.library or device.runner == "python"]
        tried = [(runtime.title, try_runtime(device, runtime)) for runtime in fitting]
        failed = [outcome for _, outcome in tried if isinstance(outcome, EdgekitError)]
        if len(failed) == len(tried):
            raise failed[0]
        return {
            **info_document(device.info()),
            "runner": device.runner,
            "installed": [said for _, said in tried if isinstance(said, str)],
            "not_installed": [
                {"runtime": title, "error": error_document(said)}
                for title, said in tried
                if isinstance(said, EdgekitError)
            ],
        }


def try_runtime(device: "Device", runtime: "Runtime") -> str | EdgekitError:
    """Run bench's control network there: the runtime with its version, or why it does not run."""
    from edgekit.bench.subject import control_subject
    from edgekit.devices.run_model import RunRequest, install_runner, run_model

    with TemporaryDirectory(prefix="edgekit-") as folder:
        subject = control_subject(runtime, Path(folder))
        request = RunRequest(runtime, subject.file, subject.sha256, subject.inputs, timeout_s=SETUP_TIMEOUT_S)
        try:
            install_runner(device, runtime, anew=True)
            result, _ = run_model(device, request)
        except EdgekitError as error:
            return error
    return f"{result.runtime} {result.runtime_version}"


def info_document(info: "DeviceInfo") -> dict[str, Any]:
    """DeviceInfo as JSON."""
    return {
        "device": info.name,
        "uri": info.uri,
        "reachable": True,
        "arch": info.arch,
        "cpu": info.cpu,
        "cores": info.cores,
        "features": {"dotprod": info.dot_product, "fp16": info.fp16, "i8mm": info.i8mm},
        "all_features": list(info.features),
        "ram_bytes": info.ram_bytes,
        "os": info.os,
        "temperatures_c": dict(info.temperatures_c),
        "governors": list(info.governors),
        "emulated": info.emulated,
        "error": None,
    }


def show(documents: list[dict[str, Any]]) -> None:
    from edgekit.report.terminal import print_table

    columns = ("device", "CPU", "cores", "features", "RAM", "temperature", "governor", "OS")
    print_table(columns, [row(document) for document in documents], right=("cores", "RAM"))
    for document in documents:
        if document["error"]:
            error = document["error"]
            print(f"{document['device']}: {error['code']} {error['what']}; {error['fix']}")
        if document.get("installed"):
            runs = " and ".join(document["installed"])
            print(f"{document['device']}: the {document['runner']} runner is there and ran a model with {runs}")
        for absent in document.get("not_installed", ()):
            print(f"{document['device']}: {absent['runtime']} does not run there: {absent['error']['what']}")


def row(document: dict[str, Any]) -> tuple[str, ...]:
    if document["error"]:
        return (document["device"], "not reachable", *[""] * 6)
    hottest = max(document["temperatures_c"].values(), default=None)
    return (
        document["device"],
        f"{document['cpu']}, {document['arch']}",
        str(document["cores"] or ""),
        " ".join(name for name, there in document["features"].items() if there),
        f"{document['ram_bytes'] / 2**30:.1f} GiB" if document["ram_bytes"] else "",
        f"{hottest:.0f} °C" if hottest is not None else "",
        " ".join(document["governors"]),
        document["os"],
    )
