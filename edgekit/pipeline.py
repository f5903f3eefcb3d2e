"""The line from a recipe to verified bundles. It knows no architecture and no file format."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from edgekit.artifact import Artifact, Hop
from edgekit.bundle.contract import make_contract
from edgekit.bundle.files import check_writable, sha256, write_bundle, write_failure
from edgekit.bundle.golden_images import make_golden_images
from edgekit.devices.run_model import open_device
from edgekit.devices.settings import find
from edgekit.errors import EdgekitError, Table
from edgekit.graph.runner import GraphRunner
from edgekit.inputs.choose import as_fed, calibration_inputs, parity_inputs
from edgekit.inputs.lint import Look, lint
from edgekit.ladder.climb import BATCH, Judge, Ladder, demand_of, without
from edgekit.ladder.data_free import compare_with_real
from edgekit.passes import prepare_integer, prepend_normalization, simplify
from edgekit.progress import Progress, Silent
from edgekit.quant.diagnosis import diagnose
from edgekit.quant.quantizer import Quantizer
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess
from edgekit.report.html import render
from edgekit.report.manifest import make_manifest
from edgekit.run import Run
from edgekit.source import Source, resolve
from edgekit.source.reference import module_outputs
from edgekit.target import EmitOptions, Emitted, FloatArray, QuantScheme, Target, targets
from edgekit.trace import trace
from edgekit.verify.device import Subject, check_device
from edgekit.verify.evaluate import Selection, labelled_images
from edgekit.verify.hops import measure_hops

DEVICE_TIMEOUT_S = 600
"""How long a device may take for the golden images; an emulated one is hundreds of times slower than this host."""

DIAGNOSED_IMAGES = 2
"""Images that float and integers are compared on layer by layer; each costs three runs of every node."""

GOLDEN_IMAGES = 4  # kept in the bundle for `edgekit verify` and the app's own test: 2.4 MB at 224 pixels


def export(recipe: Recipe, progress: Progress | None = None) -> Run:
    """Take a model to every target of the recipe, compare each hop, write a bundle for each target whose gates held.

    A failed gate is no exception here, so that the numbers of all targets are known first: see `raise_failures`.
    """
    run = Run(recipe, progress or Silent())
    chosen = [targets.get(name) for name in dict.fromkeys(recipe.targets)]
    check_choices(recipe, chosen)
    with run.stage("resolve"):
        source = run.source = resolve(recipe, run.progress.amount)
        feed = run.feed = fed_to_graph(recipe, source.preprocess)
    with run.stage("trace"):
        run.traced = float_graph(source, feed)
    with run.stage("simplify"):
        run.simplified = run.traced if source.quantized else simplify(run.traced)
    for scheme in dict.fromkeys(target.scheme for target in chosen if target.scheme.needs_calibration):
        run.quantized[scheme] = integer_graph(run, source, scheme)
    with run.stage("compare graphs"):
        compare_graphs(run, source)
        diagnose_schemes(run)
    for target in chosen:
        with run.stage(f"emit {target.name}"):
            emitted = emitted_file(run, source, target)
        with run.stage(f"verify {target.name}"):
            run.artifacts[target.name] = verified(run, source, target, emitted)
    with run.stage("write bundles"):
        for artifact in run.artifacts.values():
            write(run, artifact)
    return run


def write(run: Run, artifact: Artifact) -> None:
    """Write an artifact's bundle, or only its numbers when a gate failed."""
    folder = run.recipe.out / run.source.name / artifact.target
    manifest = make_manifest(run, artifact)
    report = render(run, artifact, manifest)
    if artifact.parity.first_failure:
        run.failures[artifact.target] = write_failure(folder, manifest, report)
    else:
        write_bundle(folder, artifact, manifest, report)
        run.bundles[artifact.target] = folder


def raise_failures(run: Run) -> None:
    """EK501 when a gate failed, naming each target's first bad hop and where its numbers are."""
    if not run.failures:
        return
    failed = {name: run.artifacts[name].parity.first_failure for name in run.failures}
    rows = [
        (name, f"{hop.reference} -> {hop.name}", hop.gate, str(run.failures[name] / "report.html"))
        for name, hop in failed.items()
        if hop is not None
    ]
    name, first, _, report = rows[0]
    kept = any((run.recipe.out / run.source.name / target).exists() for target in run.failures)
    raise EdgekitError(
        "EK501",
        what=f"the hop {first} of {name} moved the outputs further than its gate allows; no bundle was written"
        + (", the one of an earlier export is still there" if kept else ""),
        where=f"{run.artifacts[name].parity.inputs}, {run.artifacts[name].parity.images} inputs",
        fix=f"see {report}; for int8 try other or more images: --calibration DIR --samples 200",
        table=Table(("target", "first failed hop", "gate", "numbers"), tuple(rows)),
    )


def check_choices(recipe: Recipe, chosen: list[Target]) -> None:
    """Refuse what cannot work before anything slow starts."""
    find(recipe.device)  # a mistyped device is told before anything is computed
    other = [target.name for target in chosen if recipe.io and recipe.io not in io_types(target)]
    if other:
        raise EdgekitError(
            "EK302",
            what=f"--io {recipe.io} does not apply to {', '.join(other)}",
            where="--io",
            fix="export these targets on their own and leave --io out",
        )
    check_writable(recipe.out)


def io_types(target: Target) -> set[str]:
    """The dtypes that a target's inputs and outputs can be given."""
    return {"float32", "int8", "uint8"} if target.scheme.activation == "int8" else {"float32"}


def fed_to_graph(recipe: Recipe, preprocess: Preprocess) -> Preprocess:
    """What the exported file is fed: raw 0..255 pixels when normalisation becomes part of the graph."""
    if not recipe.fold_normalization:
        return preprocess
    channels = len(preprocess.mean)
    return replace(preprocess, mean=(0.0,) * channels, std=(1 / 255,) * channels)


def float_graph(source: Source, feed: Preprocess) -> ir.Model:
    """The source's graph, traced where it is a module, with normalisation in front where it was asked for."""
    if source.graph is not None:
        graph = source.graph
    elif source.module is not None:
        graph = trace(source.module, source.input_shape)
    else:
        raise ValueError(f"source {source.name} holds neither a module nor a graph")
    if feed == source.preprocess:
        return graph
    if source.quantized:
        raise EdgekitError(
            "EK302",
            what="normalisation cannot be folded into a graph that is quantized already",
            where="--fold-normalization",
            fix="leave it out, or start from the float model",
        )
    return prepend_normalization(graph, source.preprocess.mean, source.preprocess.std)


def integer_graph(run: Run, source: Source, scheme: QuantScheme) -> ir.Model:
    """The QDQ graph of one scheme; the images are read and the ranges observed once for all schemes."""
    if source.quantized:
        check_activation(run.simplified, scheme, run.recipe.model)
        return run.simplified
    if run.calibration is None:
        calibrate(run, source)
    target = next(t for t in map(targets.get, run.recipe.targets) if t.scheme == scheme)
    with run.stage(f"quantize {scheme.activation}"):
        judge = make_judge(run, source)
        found, receipt = Ladder(run.recipe, run.quantizer, target, judge).climb()
        run.decided[scheme] = found
        if receipt is not None:
            run.receipts[scheme] = receipt
    if judge is not None and run.calibration is not None and run.calibration.folder is None:
        with run.stage(f"compare with real images, {scheme.activation}"):
            compared = compare_with_real(run.recipe, target, judge, run.quantizer, found)
            if compared is not None:
                run.data_free[scheme] = compared
    return found.write()


def calibrate(run: Run, source: Source) -> None:
    """Read the images once, look at them, and observe the float graph."""
    with run.stage("calibrate"):
        inputs = run.calibration = calibration_inputs(run.recipe, source, run.feed, run.progress.step)
        look = Look(run.feed)

        def step(images: int) -> None:
            run.progress.step(images, inputs.count)

        run.quantizer = Quantizer(
            prepare_integer(run.simplified),
            lambda: look.watch(inputs.batches()),
            step,
            output_headroom=inputs.output_headroom,
        )
        run.quantizer.plain()
    run.warnings = lint(look, inputs, run.recipe, source)


def make_judge(run: Run, source: Source) -> Judge | None:
    """What rungs are measured on: labelled images, or the parity inputs where something was asked for without any."""
    recipe, float_outputs = run.recipe, GraphRunner(run.simplified)
    if recipe.eval is not None:
        folder, labels = labelled_images(Selection(Path(recipe.eval), recipe.labels), source.labels)
        used = run.calibration.folder if run.calibration is not None else None
        kept = folder if used is None else without(folder, used)
        chosen = set(kept.names)
        labels = labels[[name in chosen for name in folder.names]]
        if not len(kept):
            raise EdgekitError(
                "EK108",
                what="every image for evaluation is a calibration image too",
                where=recipe.eval,
                fix="calibrate on fewer (--samples), or on another folder",
            )
        run.judged = kept
        reference = np.concatenate([float_outputs(batch) for batch in kept.batches(run.feed, BATCH)])
        return Judge(f"{len(kept)} labelled images", reference, kept, run.feed, labels)
    if not demand_of(recipe):
        return None
    inputs = parity_inputs(recipe, source, run.feed, run.calibration)
    images = inputs.load()
    return Judge(f"{len(images)} {inputs.description}", float_outputs(images), images=images)


def diagnose_schemes(run: Run) -> None:
    """Float against integers, layer by layer, on the first parity inputs."""
    for scheme, found in run.decided.items():
        run.diagnoses[scheme] = diagnose(found, run.parity_images[:DIAGNOSED_IMAGES])


def check_activation(graph: ir.Model, scheme: QuantScheme, where: str) -> None:
    """EK204 where a foreign QDQ graph stores its activations in another width than the target's."""
    stored = {node.outputs[0].dtype for node in graph.graph if node.op_type == "QuantizeLinear"}
    widths = {dtype.bitwidth for dtype in stored if dtype is not None}
    wanted = 8 if scheme.activation == "int8" else 16
    if widths != {wanted}:
        found = " and ".join(f"{width}-bit" for width in sorted(widths)) or "no"
        raise EdgekitError(
            "EK204",
            what=f"the model is quantized with {found} activations, the target stores {wanted}-bit ones",
            where=where,
            fix="choose the target of that width, or start from the float model",
        )


def graph_for(run: Run, target: Target) -> ir.Model:
    """The graph a target's writer takes: QDQ for integer activations, the canonical float graph otherwise."""
    if target.scheme in run.quantized:
        return run.quantized[target.scheme]
    if run.source.quantized:
        raise EdgekitError(
            "EK204",
            what=f"the model is quantized already, and {target.name} needs a float graph",
            where=run.recipe.model,
            fix="export the float model, or choose --target tflite-int8 or ort-int8",
        )
    return run.simplified


def compare_graphs(run: Run, source: Source) -> None:
    """Outputs of the module and of every graph on the parity inputs."""
    run.parity_inputs = parity_inputs(run.recipe, source, run.feed, run.calibration)
    images = run.parity_images = run.parity_inputs.load()
    if source.module is not None:
        run.outputs["torch"] = module_outputs(source.module, as_fed(images, run.feed, source.preprocess))
    run.outputs["onnx"] = GraphRunner(run.traced)(images)
    if run.simplified is not run.traced:
        run.outputs["simplified"] = GraphRunner(run.simplified)(images)
    for scheme, graph in run.quantized.items():
        if graph is not run.simplified:
            run.quantized_outputs[scheme] = GraphRunner(graph)(images)


def emitted_file(run: Run, source: Source, target: Target) -> Emitted:
    """The file, with what describes it and what belongs beside it."""
    emitted: Emitted = target.emit(graph_for(run, target), target, EmitOptions(io=run.recipe.io))
    if target.finish is None:
        return emitted
    finished: Emitted = target.finish(emitted, make_contract(run.feed, emitted, source.labels), source.name)
    return finished


def verified(run: Run, source: Source, target: Target, emitted: Emitted) -> Artifact:
    """Run the file on the parity inputs and put it next to every stage before it."""
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        file = Path(folder) / f"model.{target.format}"
        for name, data in {file.name: emitted.data, **emitted.beside}.items():
            (file.parent / name).write_bytes(data)
        runner = target.run(file)
        outputs = runner(run.parity_images)
        on_device = device_hop(run, target, emitted, file, outputs)
        golden_images = make_golden_images(run.feed, emitted.inputs[0], runner)
    stages = dict(run.outputs)
    if target.scheme in run.quantized_outputs:
        stages["quantized"] = run.quantized_outputs[target.scheme]
    stages[target.name] = outputs
    parity = measure_hops(
        stages,
        target.tolerance,
        images=len(outputs),
        inputs=run.parity_inputs.description,
        exact=len(run.outputs),
        scores=source.classes is not None,
    )
    if on_device is not None:  # in front of the end-to-end hop, which is the last
        parity = replace(parity, hops=(*parity.hops[:-1], on_device, parity.hops[-1]))
    return Artifact(
        target=target.name,
        emitted=emitted,
        contract=make_contract(run.feed, emitted, source.labels),
        parity=parity,
        golden_inputs=run.parity_images[:GOLDEN_IMAGES],
        golden_outputs=outputs[:GOLDEN_IMAGES],
        reference_outputs=next(iter(run.outputs.values()))[:GOLDEN_IMAGES],
        delegation=target.delegation(emitted) if target.delegation else None,
        golden_images=golden_images,
    )


def device_hop(run: Run, target: Target, emitted: Emitted, file: Path, outputs: FloatArray) -> Hop | None:
    """The file on the recipe's device against the file on this host; None where that is the device."""
    if run.recipe.device == "local":
        return None
    subject = Subject(
        target,
        file,
        sha256(emitted.data),
        emitted.inputs[0],
        emitted.outputs[0],
        run.parity_images[:GOLDEN_IMAGES],
        outputs[:GOLDEN_IMAGES],
        next(iter(run.outputs.values()))[:GOLDEN_IMAGES],
    )
    with run.stage(f"{target.name} on {run.recipe.device}"), open_device(run.recipe.device) as device:
        return check_device(device, subject, DEVICE_TIMEOUT_S).hop
