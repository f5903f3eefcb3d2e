"""`edgekit compress`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from edgekit.cli import app
from edgekit.cli.options import JsonFlag, with_options
from edgekit.cli.output import only_json_on_stdout, print_json
from edgekit.errors import EdgekitError
from edgekit.recipe import CompressionCriterion, Recipe, make_recipe

Method = Literal["prune", "low-rank"]


@app.command("compress")
@with_options("model", "weights", "num_classes", "input_size", "model_args", "seed")
def compress_command(
    choices: dict[str, Any],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="folder of the compressed model")] = None,
    method: Annotated[
        Method, typer.Option(metavar="M", help="prune (filters) or low-rank (factors of layers)")
    ] = "prune",
    ratio: Annotated[float | None, typer.Option(metavar="P", help="prune: share of the filters that go")] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN=P", help="prune: a ratio for layers of its own; repeatable"),
    ] = None,
    criterion: Annotated[CompressionCriterion, typer.Option(metavar="NAME", help="prune: which filters go")] = "l1",
    everywhere: Annotated[
        bool, typer.Option("--global", help="prune: rank the filters of all layers together")
    ] = False,
    round_to: Annotated[int, typer.Option(metavar="N", help="prune: leave a multiple of so many filters")] = 1,
    steps: Annotated[int, typer.Option(metavar="N", help="prune: choose filters anew so many times")] = 1,
    energy: Annotated[float | None, typer.Option(metavar="E", help="low-rank: share of energy that stays")] = None,
    budget: Annotated[float | None, typer.Option(metavar="B", help="low-rank: share of the MACs that stays")] = None,
    min_sqnr: Annotated[
        float | None, typer.Option(metavar="DB", help="low-rank: what a layer alone leaves the outputs")
    ] = None,
    rank: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN=T", help="low-rank: a rank for layers of its own; repeatable")
    ] = None,
    kernels: Annotated[
        Literal["channel", "spatial", "tucker", "none"],
        typer.Option(metavar="K", help="low-rank: channel, spatial, tucker or none: how k x k kernels are taken apart"),
    ] = "tucker",
    plain: Annotated[
        bool, typer.Option("--plain", help="low-rank: do not weigh by what layers give on images")
    ] = False,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="images like those that the model will see")] = None,
    samples: Annotated[int, typer.Option(metavar="N", help="how many of them", min=1)] = 100,
    finetune: Annotated[
        str, typer.Option(metavar="DIR|none", help="train further on class folders, the whole model as the teacher")
    ] = "none",
    epochs: Annotated[int, typer.Option(metavar="N", help="of that training", min=1)] = 10,
    sensitivity: Annotated[
        Path | None, typer.Option(metavar="FILE", help="only measure: prune one layer at a time, plot to FILE.html")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make MODEL smaller before it is exported: remove filters, or take layers apart; see docs/compression.md.

    Leaves a folder that every command takes as a MODEL (edgekit export DIR). With --data DIR, the statistics of
    BatchNorm are estimated again on these images, and factors are weighed by what layers give on them.
    """
    given = {
        "prune": ratio if ratio is not None else (0.0 if layer else None),
        "layers": numbers(layer, "--layer", float),
        "criterion": criterion,
        "everywhere": everywhere,
        "round_to": round_to,
        "steps": steps,
        "low_rank": energy,
        "budget": budget,
        "layer_sqnr": min_sqnr,
        "ranks": numbers(rank, "--rank", int),
        "kernels": kernels,
        "whiten": not plain,
    }
    check_method(method, given, sensitivity)
    table = {"prune": 0.5} if sensitivity else {name: value for name, value in given.items() if value is not None}
    recipe = make_recipe(
        "edgekit compress --help",
        targets=("none",),
        calibration=None if data is None else str(data),
        samples=samples,
        compress=table,
        **choices,
    )
    with only_json_on_stdout(as_json):
        document = scan(recipe, sensitivity) if sensitivity else compress_to(recipe, out, finetune, epochs)
    if as_json:
        print_json(document)
    elif sensitivity:
        show_scan(document, sensitivity)
    else:
        show(document, out)


def numbers(pairs: list[str] | None, option: str, kind: type) -> dict[str, Any]:
    """`PATTERN=NUMBER` pairs; EK106 for anything else."""
    found = {}
    for pair in pairs or ():
        pattern, _, number = pair.rpartition("=")
        try:
            found[pattern] = kind(number)
        except ValueError:
            pattern = ""
        if not pattern:
            example = "layer1.*.conv1=0.5" if kind is float else "classifier.0=256"
            raise EdgekitError(
                "EK106",
                what=f"{pair!r} is not PATTERN=NUMBER",
                where=option,
                fix=f"write for example {option} {example}",
            )
    return found


def check_method(method: Method, given: dict[str, Any], sensitivity: Path | None) -> None:
    """EK106 where the options are those of another method, or say nothing to do."""
    of_ranks = {"--energy": "low_rank", "--budget": "budget", "--min-sqnr": "layer_sqnr", "--rank": "ranks"}
    of_filters = {"--ratio": "prune", "--layer": "layers"}
    wrong = [option for option, name in (of_ranks if method == "prune" else of_filters).items() if given[name]]
    if wrong:
        other = "low-rank" if method == "prune" else "prune"
        raise EdgekitError(
            "EK106", what=f"{', '.join(wrong)} is of --method {other}", where="--method", fix=f"add --method {other}"
        )
    needed = of_filters if method == "prune" else of_ranks
    if not sensitivity and not any(given[name] not in (None, {}) for name in needed.values()):
        raise EdgekitError(
            "EK106",
            what=f"--method {method} is not told how much",
            where="--method",
            fix=f"give one of {', '.join(needed)}; say {'--ratio 0.3' if method == 'prune' else '--energy 0.9'}",
        )


def compress_to(recipe: Recipe, out: Path | None, finetune: str, epochs: int) -> dict[str, Any]:
    """Compress, train further where that is asked for, and write; the manifest with the folder."""
    from edgekit.compress.preparation import compress, images_of, traced_of
    from edgekit.compress.store import check_place, write
    from edgekit.source import resolve
    from edgekit.source.reference import one_thread

    if out is None:
        raise EdgekitError("EK106", what="no folder is named", where="--out", fix="add --out DIR")
    check_place(out, recipe.model)
    assert recipe.compress is not None
    source = resolve(recipe)
    with one_thread():
        images = images_of(recipe.calibration, recipe.samples, source)
        compressed = compress(traced_of(source), recipe.compress, images)
        extra: dict[str, Any] = {"images": sum(map(len, images)), "finetuned": None}
        if finetune != "none":
            from edgekit.compress.finetune import tune

            tuned = tune(compressed.before, compressed.after, source, Path(finetune), epochs, recipe.seed)
            compressed = replace(compressed, after=tuned.model)
            rungs = {name: round(getattr(tuned, name), 2) for name in ("whole", "compressed", "tuned")}
            extra["finetuned"] = {"epochs": epochs, "top1": rungs}
        manifest = write(out, recipe, source, compressed, extra)
    return {"folder": str(out), **manifest}


def show(document: dict[str, Any], out: Path | None) -> None:
    before, after = document["before"], document["after"]
    for name, unit in (("macs", "MACs"), ("params", "parameters")):
        change = 100 * (after[name] / before[name] - 1)
        print(f"{unit:<10}  {before[name]:>15,} -> {after[name]:>15,}  {change:+.1f} %")
    if document["ranks"]:
        print(f"layers taken apart: {len(document['ranks'])}")
    if tuned := document["finetuned"]:
        rungs = tuned["top1"]
        print(
            f"top-1      {rungs['whole']:.2f} % whole, {rungs['compressed']:.2f} % compressed, "
            f"{rungs['tuned']:.2f} % after {tuned['epochs']} epochs"
        )
    elif not document["images"]:
        print("no images: BatchNorm's statistics are those of the whole model; --data DIR estimates them again")
    print(f"export it with: edgekit export {out} --target NAME (see: edgekit targets)")


def scan(recipe: Recipe, file: Path) -> dict[str, Any]:
    """Prune one layer at a time, and plot what is left."""
    from edgekit.compress.preparation import images_of, traced_of
    from edgekit.compress.sensitivity import measure, page
    from edgekit.source import resolve
    from edgekit.source.reference import one_thread

    if recipe.calibration is None:
        raise EdgekitError(
            "EK106", what="sensitivity is measured on images", where="--sensitivity", fix="name some with --data DIR"
        )
    assert recipe.compress is not None
    source = resolve(recipe)
    with one_thread():
        images = images_of(recipe.calibration, recipe.samples, source)
        found = measure(traced_of(source), images, recipe.compress.criterion)
    document = {"model": source.name, "criterion": recipe.compress.criterion, "layers": found}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(document), encoding="utf-8")
    return document


def show_scan(document: dict[str, Any], file: Path) -> None:
    from edgekit.report.terminal import print_table

    rows = [
        (layer["name"], str(layer["filters"]), *(f"{100 * value:.0f} %" for value in layer["agreement"].values()))
        for layer in document["layers"]
    ]
    shares = [f"-{100 * float(share):.0f} %" for share in document["layers"][0]["agreement"]]
    print_table(("layer", "filters", *shares), rows, right=("filters", *shares))
    print(f"images that keep their class with that share of one layer's filters removed; plot: {file}")
