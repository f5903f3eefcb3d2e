"""`edgekit export`."""

import ast
import contextlib
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from edgekit.cli import app
from edgekit.cli.output import only_json_on_stdout, print_json, show_error
from edgekit.errors import EdgekitError, error_document

Model = Annotated[
    str | None,
    typer.Argument(help="zoo name, timm:NAME, torchvision:NAME, file.py:callable, model.onnx or model.pt2"),
]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", metavar="W", help="bundled, imagenet, random, or a .pth/.pt/.safetensors file"),
]
ClassesOption = Annotated[int | None, typer.Option("--num-classes", metavar="N", help="rows of the classifier")]
SizeOption = Annotated[
    str | None, typer.Option("--input-size", metavar="HxW", help="pixels, for example 224 or 160x128")
]
ModelArgs = Annotated[
    list[str] | None, typer.Option("--model-arg", metavar="KEY=VALUE", help="argument of the zoo builder; repeatable")
]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]
JsonFlag = Annotated[bool, typer.Option("--json", help="print one JSON document on stdout")]


@app.command("export")
def export_command(
    model: Model = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", metavar="T", help="repeatable; see: edgekit targets")
    ] = None,
    weights: WeightsOption = None,
    num_classes: ClassesOption = None,
    input_size: SizeOption = None,
    model_arg: ModelArgs = None,
    calibration: Annotated[
        str | None,
        typer.Option(metavar="DIR|distill", help="folder or zip of images, or images made from BatchNorm statistics"),
    ] = None,
    samples: Annotated[int | None, typer.Option(metavar="N", help="calibration images  [default: 100]")] = None,
    quality: Annotated[
        str | None, typer.Option(metavar="Q", help="fast, balanced or best: how int8 is made  [default: balanced]")
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option(min=0, metavar="POINTS", help="climb until no more accuracy is lost; with --eval")
    ] = None,
    min_sqnr: Annotated[
        float | None, typer.Option(metavar="DB", help="climb until the outputs' SQNR is so high")
    ] = None,
    min_agreement: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="climb until so many images keep their class")
    ] = None,
    evaluation: Annotated[
        str | None, typer.Option("--eval", metavar="DIR", help="labelled images to measure on; see: edgekit eval")
    ] = None,
    labels: Annotated[Path | None, typer.Option(metavar="FILE", help="class names, one a line")] = None,
    io: Annotated[
        str | None, typer.Option(metavar="DTYPE", help="int8, uint8 or float32 input and output of integer files")
    ] = None,
    fold_normalization: Annotated[
        bool | None, typer.Option("--fold-normalization", help="take raw 0..255 pixels; mean and std go into the graph")
    ] = None,
    device: Annotated[str | None, typer.Option(metavar="D", help="where the files are run  [default: local]")] = None,
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="of everything random  [default: 0]")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="where bundles go  [default: build]")] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML with these options; options override it")
    ] = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Export MODEL to each target, compare every hop, and write build/<model>/<target>/.

    Exit code 1 when a parity gate failed; its numbers are then in build/<model>/<target>.failed/report.html.
    """
    choices: dict[str, Any] = {
        "model": model,
        "targets": target or None,
        "weights": weights,
        "num_classes": num_classes,
        "input_size": input_size,
        "model_args": parse_model_args(model_arg),
        "calibration": calibration,
        "samples": samples,
        "quality": quality,
        "max_drop": max_drop,
        "min_sqnr": min_sqnr,
        "min_agreement": min_agreement,
        "eval": evaluation,
        "labels": labels,
        "io": io,
        "fold_normalization": fold_normalization,
        "device": device,
        "seed": seed,
        "out": out,
    }
    run_export(choices, recipe, quiet, as_json)


def run_export(choices: dict[str, Any], recipe_file: Path | None, quiet: bool, as_json: bool) -> None:
    """Merge recipe file and options, export, and print the summary before a failed gate becomes an error."""
    from edgekit.recipe import make_recipe, read_recipe
    from edgekit.target import targets

    given = {key: value for key, value in choices.items() if value is not None}
    recipe = make_recipe(**{**(read_recipe(recipe_file) if recipe_file else {}), **given})
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


def parse_model_args(given: list[str] | None) -> dict[str, Any] | None:
    """`["alpha=0.5"]` -> {"alpha": 0.5}; numbers and true/false as TOML or Python write them, anything else is text."""
    if not given:
        return None
    parsed: dict[str, Any] = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise EdgekitError(
                "EK106",
                what=f"{text!r} is not KEY=VALUE",
                where="--model-arg",
                fix="write for example --model-arg alpha=0.5",
            )
        parsed[key] = _read_value(value)
    return parsed


def _read_value(text: str) -> Any:
    with contextlib.suppress(tomllib.TOMLDecodeError):
        return tomllib.loads(f"value = {text}")["value"]
    with contextlib.suppress(ValueError, SyntaxError):
        return ast.literal_eval(text)
    return text
