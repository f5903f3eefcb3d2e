"""`edgekit train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import app
from edgekit.cli.options import JsonFlag
from edgekit.cli.output import only_json_on_stdout, print_json

if TYPE_CHECKING:
    from edgekit.train import EpochReport


@app.command("train")
def train_command(
    model: Annotated[str, typer.Argument(help="zoo name")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="class folders of images, or a .zip of them")],
    evaluation: Annotated[Path | None, typer.Option("--eval", metavar="DIR", help="the same, to measure on")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="checkpoint and weights  [default: train]")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, metavar="N")] = None,
    finish_epochs: Annotated[int | None, typer.Option(min=0, metavar="N", help="after those, at --finish-size")] = None,
    finish_size: Annotated[int | None, typer.Option(min=1, metavar="PIXELS", help="of the last epochs")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, metavar="N")] = None,
    input_size: Annotated[
        int | None, typer.Option(min=1, metavar="PIXELS", help="height and width trained for")
    ] = None,
    start_size: Annotated[
        int | None, typer.Option(min=1, metavar="PIXELS", help="of the first, cheaper epochs")
    ] = None,
    stored_size: Annotated[
        int | None, typer.Option(min=1, metavar="PIXELS", help="of the images kept in memory")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0, metavar="RATE")] = None,
    seed: Annotated[int | None, typer.Option(min=0, metavar="N")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the checkpoint in --out")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a zoo model on class folders; leaves weights, a card, and a recipe for `export --recipe`."""
    chosen: dict[str, Any] = {
        "evaluation": evaluation,
        "out": out,
        "epochs": epochs,
        "finish_epochs": finish_epochs,
        "finish_size": finish_size,
        "batch_size": batch_size,
        "input_size": input_size,
        "start_size": start_size,
        "stored_size": stored_size,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    with only_json_on_stdout(as_json):
        from edgekit.train import TrainConfig, train

        given = {key: value for key, value in chosen.items() if value is not None}
        result = train(TrainConfig(model=model, data=data, resume=resume, **given), show_epoch)
    top1 = None if result.top1 is None else round(result.top1, 2)
    if as_json:
        paths = {"weights": str(result.weights), "card": str(result.card), "recipe": str(result.recipe)}
        print_json({**paths, "sha256": result.sha256, "top1": top1})
        return
    print(f"{result.weights}  sha256 {result.sha256}" + (f"  top-1 {top1} %" if top1 is not None else ""))
    print(f"export it with: edgekit export --recipe {result.recipe} --target NAME (see: edgekit targets)")


def show_epoch(report: "EpochReport") -> None:
    """One line per epoch on stderr."""
    measured = "" if report.top1 is None else f"  top-1 {report.top1:.2f} %"
    typer.echo(
        f"epoch {report.epoch}/{report.epochs}  {report.input_size} px  rate {report.learning_rate:.4f}"
        f"  loss {report.loss:.4f}{measured}  {report.seconds:.0f} s",
        err=True,
    )
