"""`edgekit verify` and `edgekit eval`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli import app
from edgekit.cli.export import (
    ClassesOption,
    JsonFlag,
    ModelArgs,
    QuietFlag,
    SizeOption,
    WeightsOption,
    parse_model_args,
)
from edgekit.cli.output import only_json_on_stdout, print_json, stage


class Subset(StrEnum):
    """Every second image of the sorted names: one half for calibration, the other for evaluation."""

    odd = "odd"
    even = "even"


@app.command("verify")
def verify_command(
    bundle: Annotated[Path, typer.Argument(help="folder that export wrote")], as_json: JsonFlag = False
) -> None:
    """Run a bundle's golden vectors again, from the bundle alone. Exit code 1 when the outputs differ."""
    with only_json_on_stdout(as_json):
        from edgekit.bundle import read_bundle
        from edgekit.golden import check_golden, raise_mismatch

        result = check_golden(read_bundle(bundle))
        raise_mismatch(result, str(bundle))
    if as_json:
        from edgekit.manifest import hop_document

        hops = [hop_document(hop) for hop in result.hops]
        print_json({"bundle": str(bundle), "bit_exact": result.bit_exact, "hops": hops, "error": None})
        return
    from edgekit.report.terminal import hop_cells, print_table

    columns = ("hop", "max abs", "cosine", "SQNR", "top-1 same", "gate", "")
    print_table(columns, [hop_cells(hop, result.target) for hop in result.hops], right=columns[1:5])
    print(f"{bundle}: {result.images} golden vectors, {'bit-exact' if result.bit_exact else 'within the gate'}")


@app.command("eval")
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
    weights: WeightsOption = None,
    num_classes: ClassesOption = None,
    input_size: SizeOption = None,
    model_arg: ModelArgs = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Top-1 and top-5 accuracy on labelled images, with a 95 % interval."""
    with only_json_on_stdout(as_json):
        from edgekit.evaluate import Selection, evaluate_bundle, evaluate_model

        selection = Selection(data, labels, limit, subset.value if subset else None)
        if Path(subject).is_dir():
            with stage("evaluate", quiet) as progress:
                accuracy = evaluate_bundle(Path(subject), selection, progress.step)
        else:
            from edgekit.recipe import make_recipe

            recipe = make_recipe(
                model=subject,
                targets=("none",),
                weights=weights,
                num_classes=num_classes,
                input_size=input_size,
                model_args=parse_model_args(model_arg),
                labels=labels,
            )
            with stage("evaluate", quiet) as progress:
                accuracy = evaluate_model(recipe, selection, progress.step)
    if as_json:
        print_json({"subject": subject, "data": str(data), **accuracy.document(), "error": None})
        return
    print(f"{subject} on {accuracy.images} images of {data}{f' ({subset.value} half)' if subset else ''}")
    print(f"  top-1  {accuracy.top1}\n  top-5  {accuracy.top5}")
