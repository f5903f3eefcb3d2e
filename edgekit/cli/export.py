"""`edgekit export`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from edgekit.cli import app
from edgekit.cli.options import JsonFlag, QuietFlag, with_options
from edgekit.cli.output import only_json_on_stdout, print_json, show_error
from edgekit.errors import error_document
from edgekit.recipe import Recipe, make_recipe, merge, read_recipe


@app.command("export")
@with_options()
def export_command(
    choices: dict[str, Any],
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML with these options; options override it")
    ] = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Export MODEL to each target, compare every hop, and write build/<model>/<target>/.

    Exit code 1 when a parity gate failed; its numbers are then in build/<model>/<target>.failed/report.html.
    """
    run_export(choices, recipe, quiet, as_json)


def chosen_recipe(choices: dict[str, Any], recipe_file: Path | None) -> Recipe:
    """The recipe of a file, where there is one, with the options that were given."""
    return make_recipe(**merge(read_recipe(recipe_file) if recipe_file else {}, choices))


def run_export(choices: dict[str, Any], recipe_file: Path | None, quiet: bool, as_json: bool) -> None:
    """Merge recipe file and options, export, and print the summary before a failed gate becomes an error."""
    from edgekit.target import targets

    recipe = chosen_recipe(choices, recipe_file)
    for name in recipe.targets:
        targets.get(name)  # a mistyped target is told before torch is loaded
    with only_json_on_stdout(as_json):
        from edgekit import pipeline
        from edgekit.report.progress import shown

        with shown(not quiet) as progress:
            run = pipeline.export(recipe, progress)
    errors = run.errors()
    worst = max(errors, key=lambda error: error.exit_code, default=None)
    if as_json:
        from edgekit.report.document import run_document

        print_json({**run_document(run), "error": error_document(worst) if worst else None})
        if worst:
            raise typer.Exit(worst.exit_code)
        return
    from edgekit.report.terminal import print_summary

    print_summary(run)
    for error in errors:
        if error is not worst:
            show_error(error, as_json=False)
    if worst:
        raise worst
