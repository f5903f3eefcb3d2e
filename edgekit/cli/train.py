"""`edgekit train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from edgekit.cli import app
from edgekit.cli.options import JsonFlag, QuietFlag, with_options
from edgekit.cli.output import only_json_on_stdout, print_json
from edgekit.train.config import TrainConfig


@app.command("train")
@with_options(of=TrainConfig)
def train_command(
    choices: dict[str, Any],
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="recipe.toml of a run, to repeat it; options override it")
    ] = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Train MODEL on labelled images; leaves a folder that `edgekit export` takes as a model.

    `edgekit train RUN --resume` goes on with the run in a folder.
    """
    with only_json_on_stdout(as_json):
        from edgekit.report.training import TrainingProgress
        from edgekit.train.choices import chosen
        from edgekit.train.fit import train
        from edgekit.train.run import Quiet

        config = chosen(choices, recipe)
        if quiet:
            result = train(config, Quiet())
        else:
            with TrainingProgress() as progress:
                result = train(config, progress)
    if not result.sha256:
        return  # another process of torchrun writes and speaks
    top1 = None if result.top1 is None else round(result.top1, 2)
    if as_json:
        print_json({"run": str(result.folder), "sha256": result.sha256, "top1": top1, "error": None})
        return
    print(f"{result.folder}  sha256 {result.sha256}" + (f"  top-1 {top1} %" if top1 is not None else ""))
    print(f"curves: {result.folder}/report.html; a file for a phone: edgekit export {result.folder} --target NAME")
