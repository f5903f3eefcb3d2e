"""`edgekit android`."""

from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli import app
from edgekit.cli.options import JsonFlag
from edgekit.cli.output import only_json_on_stdout, print_json


@app.command("android")
def android_command(
    bundle: Annotated[Path, typer.Argument(help="folder that export wrote")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="where the module goes")],
    java: Annotated[bool, typer.Option("--java", help="Java classes instead of Kotlin")] = False,
    cpp: Annotated[bool, typer.Option("--cpp", help="the preprocessing as C++ headers too, in cpp/")] = False,
    package: Annotated[
        str | None, typer.Option(metavar="NAME", help="of the classes  [default: edgekit.MODEL]")
    ] = None,
    library: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="what runs it in the app: a name in manifest.json  [default: the first]"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a Gradle library module: the model, and classes that feed it exactly as the contract says."""
    with only_json_on_stdout(as_json):
        from edgekit.android.module import Module, write_module
        from edgekit.bundle.files import read_bundle

        module = Module(read_bundle(bundle), "java" if java else "kotlin", package, library, cpp)
        files = write_module(module, out)
    if as_json:
        print_json({"module": str(out), "name": module.name, "files": files, "error": None})
        return
    print(f"{out}: Gradle module {module.name}, {len(files)} files; README.md has the ten lines that call it")
