"""`edgekit models`: the zoo as a table, or one model's card."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import app
from edgekit.cli.options import JsonFlag
from edgekit.cli.output import only_json_on_stdout, print_json

if TYPE_CHECKING:
    from edgekit.registry import ModelSpec, Weights

MEGA = 1e6
IMAGENET = "ImageNet-1k"


@app.command("models")
def models_command(
    name: Annotated[str | None, typer.Argument(help="show one model in full")] = None, as_json: JsonFlag = False
) -> None:
    """List the zoo, or show one model: its stages, operators, memory, targets and known weights."""
    from edgekit.registry import models

    with only_json_on_stdout(as_json):
        found = [card(models.get(name))] if name else [model_document(spec) for spec in models]
    if as_json:
        print_json({"models": found})
    elif name:
        show_card(found[0])
    else:
        from edgekit.report.terminal import print_table

        columns = ("model", "input", "params", "MACs", "top-1", "of", "paper")
        print_table(columns, [model_row(document) for document in found], right=("params", "MACs", "top-1"))


def model_document(spec: "ModelSpec") -> dict[str, Any]:
    """One zoo model as JSON: what it declares."""
    return {
        "name": spec.name,
        "input_shape": list(spec.input_shape),
        "params": spec.params,
        "macs": spec.macs,
        "paper": spec.paper,
        "reference": spec.reference,
        "min_input": spec.min_input,
        "classes": spec.num_classes,
        "weights": [weights_document(weights) for weights in spec.weights],
    }


def weights_document(weights: "Weights") -> dict[str, Any]:
    from edgekit.images.preprocess import steps

    return {
        "name": weights.name,
        "classes": weights.num_classes,
        "input": list(weights.preprocess.crop),
        "top1": weights.top1,
        "dataset": weights.dataset,
        "source": weights.source,
        "preprocess": list(steps(weights.preprocess)),
    }


def card(spec: "ModelSpec") -> dict[str, Any]:
    """A model's document with what can be counted of it, and what was measured of its files."""
    from collections import Counter

    from edgekit.passes import simplify
    from edgekit.profile import memory, stages
    from edgekit.report.zoo import load_measured
    from edgekit.source.options import options_of
    from edgekit.trace import trace

    shape = (1, *spec.input_shape)
    module = spec.build().eval()
    graph = simplify(trace(module, shape))
    return {
        **model_document(spec),
        "options": [
            {"name": option.name, "takes": option.takes, "default": option.default, "meaning": option.meaning}
            for option in options_of(spec.build)
        ],
        "stages": [asdict(stage) for stage in stages(module, shape)],
        "operators": dict(sorted(Counter(node.op_type for node in graph.graph).items())),
        **asdict(memory(graph)),
        "measured": load_measured().models.get(spec.name, {}).get("targets", {}),
    }


def model_row(document: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table; top-1 is of the best published weights: on ImageNet, and at this input, if there are."""
    _, height, width = document["input_shape"]
    rated = [w for w in document["weights"] if w["top1"] is not None]
    best = max(rated, key=lambda w: (w["dataset"] == IMAGENET, w["input"] == [height, width], w["top1"]), default=None)
    top1 = ("-", "")
    if best:
        dataset = "" if best["dataset"] == IMAGENET else f", {best['dataset']}"
        pixels = "" if best["input"] == [height, width] else ", at {}x{}".format(*best["input"])
        top1 = (f"{best['top1']:.1f}", best["source"] + dataset + pixels)
    size, macs = f"{document['params'] / MEGA:.2f} M", f"{document['macs'] / MEGA:,.0f} M"
    return (document["name"], f"{height}x{width}", size, macs, *top1, document["paper"])


def show_card(document: dict[str, Any]) -> None:
    """The card as text."""
    from edgekit.report.terminal import print_table

    _, height, width = document["input_shape"]
    operators = ", ".join(f"{count} {operator}" for operator, count in document["operators"].items())
    exported = sum(stage["params"] for stage in document["stages"])
    params = f"{document['params']:,}"
    if exported < document["params"]:
        params += f", {document['params'] - exported:,} of them in heads that only training uses and no file has"
    lines = {
        "model": document["name"],
        "input": f"{height}x{width}, {document['min_input']} pixels at least",
        "classes": str(document["classes"]),
        "params": params,
        "MACs": f"{document['macs']:,}",
        "memory": f"{document['weights_bytes'] / MEGA:.2f} MB weights, "
        f"{document['peak_activations_bytes'] / MEGA:.2f} MB activations at their peak (float32, batch 1)",
        "operators": operators,
        "paper": document["paper"],
        "equals": document["reference"],
    }
    for label, text in lines.items():
        print(f"{label:<10} {text}")
    print()
    rows = [stage_row(stage) for stage in document["stages"]]
    print_table(("stage", "module", "output", "params", "MACs"), rows, right=("params", "MACs"))
    print()
    show_options(document["options"])
    show_targets(document["measured"])
    show_weights(document["weights"])


def stage_row(stage: dict[str, Any]) -> tuple[str, ...]:
    output = "x".join(map(str, stage["output"]))
    return (stage["name"], stage["kind"], output, f"{stage['params']:,}", f"{stage['macs']:,}")


def show_options(options: list[dict[str, Any]]) -> None:
    """What `--model-arg` sets."""
    for option in options:
        default = "" if option["default"] is None else f"={option['default']}"
        print(f"--model-arg {option['name']}{default}  {option['takes']}\n{'':<10} {option['meaning']}")
    if options:
        print()


def show_targets(measured: dict[str, dict[str, Any]]) -> None:
    """Which targets pass at full size, as this version's record has it."""
    from edgekit.report.terminal import print_table

    rows = [
        (
            target,
            "pass" if found["passed"] else "FAIL",
            f"{found['size_bytes'] / MEGA:.2f} MB",
            "" if found["partitions"] is None else str(found["partitions"]),
            "equal" if found["sqnr_db"] is None else f"{found['sqnr_db']:.1f} dB",
            f"{100 * found['agreement']:.0f} %",
        )
        for target, found in measured.items()
    ]
    if rows:
        print_table(("target", "gates", "file", "partitions", "SQNR", "top-1 same"), rows, right=("file", "SQNR"))
        print("measured on settled weights, at the full input size: docs/zoo.md\n")


def show_weights(weights: list[dict[str, Any]]) -> None:
    for entry in weights:
        top1 = f"{entry['top1']} % top-1 on {entry['dataset']}" if entry["top1"] is not None else entry["dataset"]
        print(f"{'weights':<10} {entry['name']}: {entry['classes']} classes, {top1}  {entry['source']}".rstrip())
        for step in entry["preprocess"]:
            print(f"{'':<10}   {step}")
