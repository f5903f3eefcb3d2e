"""The line from a recipe to verified bundles. It knows no architecture and no file format."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import onnx_ir as ir

from edgekit.artifact import Artifact, Contract, Hop, ParityReport
from edgekit.bundle.contract import make_contract
from edgekit.bundle.files import sha256
from edgekit.bundle.golden_images import make_golden_images
from edgekit.bundle.replace import check_replaceable
from edgekit.bundle.write import check_writable, write_bundle, write_failure
from edgekit.devices.run_model import open_device
from edgekit.devices.settings import find
from edgekit.errors import EdgekitError
from edgekit.graph.outputs import concatenate, take
from edgekit.graph.runner import GraphRunner
from edgekit.inputs.choose import Inputs, as_fed, calibration_inputs, parity_inputs, unseen_inputs
from edgekit.inputs.lint import Look, lint
from edgekit.ladder.climb import Ladder
from edgekit.ladder.data_free import compare_with_real
from edgekit.ladder.judge import Judge, demand_of, labelled_judge
from edgekit.ladder.named import check_method, refuse_quantized
from edgekit.passes import SIMPLIFY, prepare_integer, prepend_normalization, simplify
from edgekit.progress import Progress, Silent
from edgekit.quant.diagnosis import diagnose
from edgekit.quant.fixed_steps import fixed_steps
from edgekit.quant.keep_float import check_patterns, matching_nodes
from edgekit.quant.quantizer import Quantizer
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess
from edgekit.report.html import render
from edgekit.report.manifest import make_manifest
from edgekit.run import Clock, Floats, Images, Integers, Result, Run
from edgekit.source import Source, resolve
from edgekit.source.reference import module_outputs
from edgekit.target import EmitOptions, Emitted, Outputs, QuantScheme, Target, names_with, targets
from edgekit.trace import trace
from edgekit.verify.device import Subject, check_device
from edgekit.verify.doubts import doubts
from edgekit.verify.hops import Checked, end_to_end, measure_hops

if TYPE_CHECKING:
    from edgekit.source.in_memory import InMemory
    from edgekit.source.prepare import Preparation

T = TypeVar("T")
P = ParamSpec("P")

DEVICE_TIMEOUT_S = 600
"""How long a device may take for the golden images; an emulated one is hundreds of times slower than this host."""

DIAGNOSED_IMAGES = 2
"""Images that float and integers are compared on layer by layer; each costs three runs of every node."""

GOLDEN_IMAGES = 4  # kept in the bundle for `edgekit verify` and the app's own test: 2.4 MB at 224 pixels


def export(
    recipe: Recipe,
    progress: Progress | None = None,
    preparation: "Preparation | None" = None,
    given: "InMemory | None" = None,
) -> Run:
    """Take a model to every target of the recipe, compare each hop, write a bundle for each target whose gates held.

    A target that fails its gate or is refused is a result like any other: see `Run.results`, `Run.raise_for_failures`.

    Args:
        preparation: changes the module before it is traced.
        given: the module itself; the recipe then has its name.

    Raises:
        EdgekitError: what no target can be exported with: the model, the recipe, the images.
    """
    clock = Clock(progress or Silent())
    chosen = [targets.get(name) for name in dict.fromkeys(recipe.targets)]
    check_choices(recipe, chosen)
    original, floats, preparation = float_stages(recipe, clock, preparation, given)
    for target in chosen:
        check_replaceable(recipe.out / floats.source.name / target.name)
    calibrated = attempt(calibrate, recipe, floats, clock) if asks_for_integers(floats, chosen) else None
    with clock.stage("compare graphs"):
        images = choose_images(recipe, floats, calibrated)
        stages = reference_stages(original, floats, images, preparation)
        images = replace(images, warnings=(*images.warnings, *doubts(floats.traced, images.compared, stages)))
    made = {
        scheme: attempt(integer_graph, recipe, floats, images, stages, calibrated, scheme, clock)
        for scheme in dict.fromkeys(target.scheme for target in chosen if target.scheme.needs_calibration)
    }
    if isinstance(calibrated, Calibrated):
        images = with_unseen(recipe, original, floats, images, clock)
    run = Run(recipe, floats, images, {s: found for s, found in made.items() if isinstance(found, Integers)}, stages)
    for target in chosen:
        graph = made.get(target.scheme)
        done = graph if isinstance(graph, EdgekitError) else attempt(export_to, target, run, clock)
        result = Result(target, refused=done) if isinstance(done, EdgekitError) else done
        run = run.with_result(result, clock.costs)
    return run


def attempt(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | EdgekitError:
    """What `work` gives, or why it was refused: one target's refusal must not cost the others."""
    try:
        return work(*args, **kwargs)
    except EdgekitError as refused:
        return refused


def asks_for_integers(floats: Floats, chosen: Sequence[Target]) -> bool:
    """Whether a graph must be quantized here."""
    return not floats.source.quantized and any(target.scheme.needs_calibration for target in chosen)


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
    check_method(recipe, chosen)
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


def float_stages(
    recipe: Recipe, clock: Clock, preparation: "Preparation | None", given: "InMemory | None" = None
) -> "tuple[Source, Floats, Preparation | None]":
    """The source as it was resolved, the float graphs of it, and how it was prepared where that was asked for."""
    with clock.stage("resolve"):
        original = source = resolve(recipe, clock.progress.amount, given)
        check_demand(recipe, source)
        if source.quantized:
            refuse_quantized(recipe)
        feed = fed_to_graph(recipe, source.preprocess)
    preparation = chosen_preparation(recipe, original, preparation)
    if preparation is not None:
        from edgekit.source.prepare import prepare

        with clock.stage(preparation.name):
            source = prepare(original, preparation)
    with clock.stage("trace"):
        traced = float_graph(source, feed)
    with clock.stage("simplify"):
        canonical = traced if source.quantized else simplify(traced)
        check_patterns(canonical, recipe.kept_float)
    passes = () if source.quantized else tuple(step.__name__ for step in SIMPLIFY)
    name = preparation.name if preparation else ""
    return original, Floats(source, feed, traced, canonical, passes, name), preparation


def chosen_preparation(recipe: Recipe, original: Source, given: "Preparation | None") -> "Preparation | None":
    """What changes the module before the trace: what the caller gave, or the recipe's compression; EK106 for both."""
    if recipe.compress is None:
        return given
    if given is not None:
        raise EdgekitError(
            "EK106",
            what="the module would be changed twice before the trace",
            where="compress, prepare",
            fix="leave one of them out, or compress first: edgekit compress",
        )
    from edgekit.compress.preparation import preparation_of

    return preparation_of(recipe, original)


def check_demand(recipe: Recipe, source: Source) -> None:
    """EK302 where accuracy or classes are asked of a model that has none."""
    asked = [
        option
        for option, value in (
            ("--min-agreement", recipe.min_agreement),
            ("--max-drop", recipe.max_drop),
            ("--eval", recipe.eval),
        )
        if value is not None
    ]
    if asked and source.scores is None:
        raise EdgekitError(
            "EK302",
            what=f"the model has no classes: no output is [1, classes] ({', '.join(o.name for o in source.outputs)})",
            where=", ".join(asked),
            fix="leave it out; --min-sqnr DB is what every output can be asked for",
        )


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


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The canonical graph, observed: the images are read and the ranges taken once for all schemes."""

    inputs: Inputs
    quantizer: Quantizer
    warnings: tuple[str, ...]


def calibrate(recipe: Recipe, floats: Floats, clock: Clock) -> Calibrated:
    """Read the images once, look at them, and observe the float graph."""
    with clock.stage("calibrate"):
        prepared = prepare_integer(floats.canonical)
        keep_float = matching_nodes(prepared, recipe.kept_float)
        inputs = calibration_inputs(recipe, floats.source, floats.feed, clock.progress.step)
        look = Look(floats.feed)
        quantizer = Quantizer(
            prepared,
            lambda: look.watch(inputs.batches()),
            lambda images, _: clock.progress.step(images, inputs.count),
            output_headroom=inputs.output_headroom,
            keep_float=keep_float,
            tune=recipe.tune,
        )
        quantizer.plain()
    return Calibrated(inputs, quantizer, lint(look, inputs, recipe, floats.source))


def choose_images(recipe: Recipe, floats: Floats, calibrated: Calibrated | EdgekitError | None) -> Images:
    """What every hop is compared on."""
    inputs, warnings = (calibrated.inputs, calibrated.warnings) if isinstance(calibrated, Calibrated) else (None, ())
    parity = parity_inputs(recipe, floats.source, floats.feed, inputs)
    return Images(inputs, parity, parity.load(), warnings=warnings)


def reference_stages(
    original: Source, floats: Floats, images: Images, preparation: "Preparation | None"
) -> tuple[Checked, ...]:
    """Outputs of the module, before and behind its preparation, and of the float graphs on the parity inputs."""
    stages: list[Checked] = []
    for source in dict.fromkeys((original, floats.source)) if preparation else (original,):
        if source.module is not None:
            fed = as_fed(images.compared, floats.feed, source.preprocess)
            stages.append(Checked("torch", module_outputs(source.module, fed)))
    if preparation is not None:
        before, after = stages
        stages = [replace(before, name="original"), replace(after, name="prepared", gate=preparation.gate)]
    stages.append(Checked("onnx", GraphRunner(floats.traced)(images.compared)))
    if floats.canonical is not floats.traced:
        stages.append(Checked("simplified", GraphRunner(floats.canonical)(images.compared)))
    return tuple(stages)


def with_unseen(recipe: Recipe, original: Source, floats: Floats, images: Images, clock: Clock) -> Images:
    """The images that integer files are compared with the module on, end to end, and what the module gives on them."""
    unseen = unseen_inputs(recipe, floats.source, floats.feed, images.calibration)
    if unseen is None:
        return images
    with clock.stage("reference of unseen images"):
        unseen = unseen.decoded()  # the module and each integer file read them
        if (module := original.module) is not None:
            fed = (as_fed(batch, floats.feed, original.preprocess) for batch in unseen.batches())
            expected = concatenate(module_outputs(module, batch) for batch in fed)
        else:
            expected = concatenate(map(GraphRunner(floats.traced), unseen.batches()))
    return replace(images, unseen=unseen, expected=expected)


def integer_graph(
    recipe: Recipe,
    floats: Floats,
    images: Images,
    stages: Sequence[Checked],
    calibrated: Calibrated | EdgekitError | None,
    scheme: QuantScheme,
    clock: Clock,
) -> Integers:
    """The QDQ graph of one scheme, with how it was found and what it gives."""
    if isinstance(calibrated, EdgekitError):
        raise calibrated
    if calibrated is None:
        check_activation(floats.canonical, scheme, recipe.model)
        return Integers(scheme, floats.canonical, steps=fixed_steps(floats.canonical))
    target = next(t for t in map(targets.get, recipe.targets) if t.scheme == scheme)
    with clock.stage(f"quantize {scheme.activation}"):
        judge = make_judge(recipe, floats, images, stages[-1].outputs)
        decided, receipt = Ladder(recipe, calibrated.quantizer, target, judge).climb()
    compared = None
    if judge is not None and calibrated.inputs.folder is None:
        with clock.stage(f"compare with real images, {scheme.activation}"):
            compared = compare_with_real(recipe, target, judge, calibrated.quantizer, decided)
    with clock.stage(f"compare {scheme.activation} graph"):
        graph = decided.write()
        return Integers(
            scheme,
            graph,
            simulated=GraphRunner(graph)(images.compared),
            steps=fixed_steps(graph),
            decided=decided,
            receipt=receipt,
            judged=judge.folder if judge is not None else None,
            data_free=compared,
            diagnosis=diagnose(decided, images.compared[:DIAGNOSED_IMAGES]),
        )


def make_judge(recipe: Recipe, floats: Floats, images: Images, reference: Outputs) -> Judge | None:
    """What rungs are measured on: labelled images, or the parity inputs where something was asked for without any.

    Args:
        reference: of the canonical graph on the parity inputs.
    """
    if recipe.eval is not None:
        used = images.calibration.folder if images.calibration is not None else None
        return labelled_judge(floats.canonical, floats.source, floats.feed, recipe, used)
    if not demand_of(recipe):
        return None
    source = floats.source
    description = f"{len(images.compared)} {images.parity.description}"
    return Judge(description, reference, source.scores.name if source.scores else None, images=images.compared)


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
    if target.scheme in run.integers:
        return run.integers[target.scheme].graph
    if run.source.quantized:
        raise EdgekitError(
            "EK204",
            what=f"the model is quantized already, and {target.name} needs a float graph",
            where=run.recipe.model,
            fix=f"export the float model, or choose --target {names_with('int8')}",
        )
    return run.floats.canonical


def export_to(target: Target, run: Run, clock: Clock) -> Result:
    """One target's file, verified and written, or only its numbers where a gate failed."""
    with clock.stage(f"emit {target.name}"):
        emitted = emitted_file(run, target)
    with clock.stage(f"verify {target.name}"):
        artifact = verified(run, target, emitted, clock)
    with clock.stage(f"write {target.name}"):
        return write(replace(run, costs=clock.costs), target, artifact)


def write(run: Run, target: Target, artifact: Artifact) -> Result:
    """Write an artifact's bundle, or only its numbers when a gate failed."""
    folder = run.recipe.out / run.source.name / target.name
    manifest = make_manifest(run, artifact)
    report = render(run, artifact, manifest)
    if artifact.parity.first_failure:
        return Result(target, artifact, write_failure(folder, manifest, report))
    write_bundle(folder, artifact, manifest, report)
    return Result(target, artifact, folder)


def emitted_file(run: Run, target: Target) -> Emitted:
    """The file, with what describes it and what belongs beside it."""
    emitted: Emitted = target.emit(graph_for(run, target), target, EmitOptions(io=run.recipe.io))
    if target.finish is None:
        return emitted
    finished: Emitted = target.finish(emitted, contract_of(run, emitted), run.source.name)
    return finished


def contract_of(run: Run, emitted: Emitted) -> Contract:
    meanings = {output.name: output.meaning for output in run.source.outputs}
    contract = make_contract(run.floats.feed, emitted, run.source.labels, meanings)
    return replace(contract, preprocess_assumed=run.source.assumed)


def verified(run: Run, target: Target, emitted: Emitted, clock: Clock) -> Artifact:
    """Run the file on the parity inputs and put it next to every stage before it."""
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        file = Path(folder) / target.model_file
        for name, data in {file.name: emitted.data, **emitted.beside}.items():
            (file.parent / name).write_bytes(data)
        runner = target.run(file)
        outputs = runner(run.images.compared)
        on_device = device_hops(run, target, emitted, file, outputs, clock)
        unseen = run.images.unseen if target.scheme in run.integers else None
        whole = concatenate(map(runner, unseen.batches())) if unseen else None
        golden_images = make_golden_images(run.floats.feed, emitted.inputs[0], runner)
    return Artifact(
        target=target.name,
        emitted=emitted,
        contract=contract_of(run, emitted),
        parity=parity_of(run, target, outputs, whole, on_device),
        golden_inputs=run.images.compared[:GOLDEN_IMAGES],
        golden_outputs=take(outputs, slice(GOLDEN_IMAGES)),
        reference_outputs=take(run.stages[0].outputs, slice(GOLDEN_IMAGES)),
        delegation=target.delegation(emitted) if target.delegation else None,
        golden_images=golden_images,
    )


def parity_of(
    run: Run, target: Target, outputs: Outputs, unseen: Outputs | None, on_device: tuple[Hop, ...]
) -> ParityReport:
    """Every hop of one target: the float stages, the integer graph, the file, the device, and end to end.

    Args:
        outputs: of the file on the parity inputs, and `unseen` on the images for its headline, where there are any.
    """
    stages = list(run.stages)
    integers = run.integers.get(target.scheme)
    if integers is not None and integers.simulated is not None:
        stages.append(Checked("quantized", integers.simulated, target.tolerance))
    stages.append(Checked(target.name, outputs, target.tolerance))
    scores = run.source.scores.name if run.source.scores else None
    steps = integers.steps if integers is not None else {}
    hops = (*measure_hops(stages, scores, steps), *on_device)
    inputs = ""
    if unseen is not None and run.images.unseen is not None and run.images.expected is not None:
        inputs = f"{run.images.unseen.count} {run.images.unseen.description}"
        first, last = replace(stages[0], outputs=run.images.expected), replace(stages[-1], outputs=unseen)
        stages = [first, *stages[1:-1], last]
    hops = (*hops, *end_to_end(stages, scores, steps, inputs))
    return ParityReport(hops, len(run.images.compared), run.images.parity.description)


def device_hops(
    run: Run, target: Target, emitted: Emitted, file: Path, outputs: Outputs, clock: Clock
) -> tuple[Hop, ...]:
    """The file on the recipe's device against the file on this host; nothing where that is the device."""
    if run.recipe.device == "local":
        return ()
    some = slice(GOLDEN_IMAGES)
    subject = Subject(
        target,
        file,
        sha256(emitted.data),
        emitted.inputs[0],
        emitted.outputs,
        run.images.compared[some],
        take(outputs, some),
        take(run.stages[0].outputs, some),
        run.source.scores.name if run.source.scores else None,
    )
    with clock.stage(f"{target.name} on {run.recipe.device}"), open_device(run.recipe.device) as device:
        return (check_device(device, subject, DEVICE_TIMEOUT_S).hop,)
