"""The functions of `from edgekit import ...`: what the command line does, for programs and notebooks.

Each is thin: it reads what it is given and calls the room that does the work. Nothing heavy is loaded before one is
called. Options are keywords, and None leaves one as it is by default.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from edgekit.errors import EdgekitError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from edgekit.bench.record import Metric, Record
    from edgekit.bundle.files import Bundle
    from edgekit.progress import Progress
    from edgekit.recipe import Compression, OwnMethod, Quality
    from edgekit.registry import Preprocess
    from edgekit.run import Run
    from edgekit.source.in_memory import InMemory
    from edgekit.source.prepare import Preparation
    from edgekit.verify.accuracy import Accuracy
    from edgekit.verify.bundle import Verified

P = ParamSpec("P")
T = TypeVar("T")

DEVICE_TIMEOUT_S = 600


def with_near_misses(function: Callable[P, T]) -> Callable[P, T]:
    """Make an EK106 of arguments that a function does not take: a mistyped keyword is told the one that was meant."""

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        from inspect import signature  # loads slowly, and whoever calls this loads more

        taken = signature(function)
        unknown = [name for name in kwargs if name not in taken.parameters]
        if unknown:
            raise _unknown(function.__name__, unknown, [name for name in taken.parameters if name not in kwargs])
        try:
            taken.bind(*args, **kwargs)
        except TypeError as error:
            raise EdgekitError(
                "EK106",
                what=f"{function.__name__}(): {error}",
                where=f"edgekit.{function.__name__}",
                fix=f"options are keywords: edgekit.{function.__name__}{_shortened(taken.parameters)}",
            ) from error
        return function(*args, **kwargs)

    return checked


def _unknown(function: str, unknown: Sequence[str], known: Sequence[str]) -> EdgekitError:
    from edgekit.options import Problem, refusal

    help_of = f"see: help(edgekit.{function})"
    return refusal(
        [Problem(name, f"{function}() has no option {name!r}", did_you_mean(name, known, help_of)) for name in unknown]
    )


def _shortened(parameters: Mapping[str, Any]) -> str:
    """How a function is called, without what may be left out: `(model, target=..., ...)`."""
    needed = [
        f"{p.name}=..." if p.kind is p.KEYWORD_ONLY else p.name for p in parameters.values() if p.default is p.empty
    ]
    return f"({', '.join([*needed, '...'])})"


@with_near_misses
def export(
    model: "str | Path | nn.Module",
    *,
    target: str | Sequence[str],
    name: str | None = None,
    weights: str | Path | None = None,
    num_classes: int | None = None,
    input_size: int | str | tuple[int, int] | None = None,
    preprocess: "Preprocess | dict[str, Any] | None" = None,
    model_args: Mapping[str, int | float | bool | str] | None = None,
    calibration: str | Path | None = None,
    samples: int = 100,
    labels: str | Path | None = None,
    quality: "Quality | None" = None,
    method: "str | dict[str, Any] | OwnMethod | None" = None,
    keep_float: str | Sequence[str] = (),
    eval: str | Path | None = None,
    max_drop: float | None = None,
    min_sqnr: float | None = None,
    min_agreement: float | None = None,
    io: Literal["int8", "uint8", "float32"] | None = None,
    fold_normalization: bool = False,
    tune: Literal["a53", "a72", "a76", "x86"] | None = None,
    device: str = "local",
    compress: "dict[str, Any] | Compression | None" = None,
    out: str | Path = "build",
    seed: int = 0,
    prepare: "Preparation | Callable[[nn.Module], nn.Module] | None" = None,
    progress: "bool | Progress" = False,
) -> "Run":
    """Export a model to one or more targets, compare every hop and write the bundles.

    Args:
        model: zoo name, `timm:NAME`, `torchvision:NAME`, `file.py:callable`, `model.onnx`, `model.pt2`, or a module in
            memory (TorchScript too): a copy of it is exported, in eval mode and float32; the module stays as it is.
        target: one target name or several; `edgekit targets` lists them.
        name: of the bundle's folder, for a module in memory. None: its class's name.
        weights: "bundled", "imagenet", "random" or a checkpoint file. None: bundled where the model has it, and what it
            holds for a module that is built already.
        num_classes: rows of the classifier.
        input_size: (height, width) in pixels, a number for a square, or "160x128". None: what the weights were
            made for.
        preprocess: how images become inputs: an edgekit.registry.Preprocess or its fields. None: what belongs to the
            weights; ImageNet's normalisation at 224 x 224 for a module of your own.
        model_args: arguments of the model's builder.
        calibration: folder or zip of images like those that the model will see, or "distill". None: those shipped with
            the weights, else distilled ones.
        samples: how many calibration images.
        labels: a file of class names, line i is class i.
        quality: how int8 is made: "fast", "balanced" or "best". None: "balanced", where `method` does not say it.
        method: how int8 is made instead: a rung by name, or the keys of a recipe's table [method].
        keep_float: PyTorch module paths whose operators stay in float32, as shell patterns: "head.*".
        eval: folder or zip of labelled images to measure accuracy on.
        max_drop: try harder until at most so many points of accuracy are lost on `eval`.
        min_sqnr: try harder until every output has so many dB.
        min_agreement: try harder until so many percent of the images keep their class.
        io: dtype of an integer file's inputs and outputs. None: the target's own.
        fold_normalization: the file takes raw 0..255 pixels.
        tune: the core that forms of integer operators are chosen for; None: a53 and a76.
        device: where the files are run; `edgekit devices` lists them.
        compress: what is taken out of the model before it is traced: the keys of a recipe's table [compress], for
            example {"prune": 0.3} or {"low_rank": 0.9}; measured as a hop of its own, `original -> prepared`.
        out: folder of all bundles; one is written to `out/<model>/<target>`.
        seed: of everything random.
        prepare: changes a copy of the module before it is traced, `prepare(module) -> module`; measured as a hop of its
            own, `original -> prepared`. An edgekit.source.prepare.Preparation has a name and a gate besides.
        progress: True shows the stages in a terminal or notebook; or an edgekit.progress.Progress that hears of them.

    Returns:
        The Run: every intermediate graph, a result per target, the bundle folders and the stage timings. A gate that
        failed and a target that was refused are results; `run.raise_for_failures()` makes an error of them.

    Raises:
        edgekit.EdgekitError: what went wrong with the model or the options, where, and how to fix it.
    """
    choices = dict(locals())
    from edgekit import pipeline
    from edgekit.recipe import Recipe, make_recipe
    from edgekit.report.progress import shown

    given = _in_memory(model, name)
    choices |= {"model": _model_name(model, given), "targets": target}
    recipe = make_recipe(**{field.name: choices[field.name] for field in fields(Recipe)})
    with shown(progress) as listener:
        return pipeline.export(recipe, listener, _preparation(prepare), given)


@with_near_misses
def verify(
    bundle: "str | Path | Bundle",
    device: str | Sequence[str] | None = None,
    *,
    timeout_s: int = DEVICE_TIMEOUT_S,
    progress: "bool | Progress" = False,
) -> "Verified":
    """Run a bundle's golden vectors again, from the bundle alone, here and on devices.

    Args:
        bundle: its folder, or what `read_bundle` gave.
        device: one device or several; `edgekit devices` lists them. None: this host alone.
        timeout_s: seconds that a device may take.
        progress: True shows the devices in a terminal or notebook.

    Returns:
        What this host and each device give. Outputs that differ and a device that failed are results;
        `raise_for_failures()` makes an error of them.

    Raises:
        edgekit.EdgekitError: EK102, EK110 the bundle cannot be read; EK502 its golden pictures no longer become their
            tensors; EK703 the runtime refuses the file.
    """
    from edgekit.report.progress import shown
    from edgekit.verify.bundle import verify_bundle

    devices = [device] if isinstance(device, str) else list(device or ())
    with shown(progress) as listener:
        return verify_bundle(_read(bundle), devices, timeout_s, listener)


@with_near_misses
def evaluate(
    model: "str | Path | Bundle | nn.Module",
    data: str | Path,
    *,
    labels: str | Path | None = None,
    limit: int | None = None,
    subset: Literal["odd", "even"] | None = None,
    weights: str | Path | None = None,
    num_classes: int | None = None,
    input_size: int | str | tuple[int, int] | None = None,
    preprocess: "Preprocess | dict[str, Any] | None" = None,
    model_args: Mapping[str, int | float | bool | str] | None = None,
    progress: "bool | Progress" = False,
) -> "Accuracy":
    """Top-1 and top-5 accuracy on labelled images, with 95 % intervals, in percent.

    Args:
        model: a bundle (its folder, or what `read_bundle` gave), whose file is run here as its contract says; or a
            model as `export` takes it, which is run in float.
        data: labelled images: class folders or a .zip of them, or sorted files with `labels`.
        labels: a file of class names, line i is class i; WordNet ids match file names.
        limit: at most so many images, spread evenly.
        subset: every second image of the sorted names, so that calibration can use the other half.
        weights, num_classes, input_size, preprocess, model_args: of a model, as `export` takes them.
        progress: True shows how many images are done, in a terminal or notebook.

    Raises:
        edgekit.EdgekitError: EK106 options of a model for a bundle; EK108, EK109 the images or labels do not fit,
            or the model has no classes; and what reading the bundle or the model raises.
    """
    from edgekit.bundle.files import Bundle
    from edgekit.recipe import make_recipe
    from edgekit.report.progress import shown
    from edgekit.source import is_compressed, is_run
    from edgekit.verify.evaluate import Selection, evaluate_bundle, evaluate_model

    choices = {
        "weights": weights,
        "num_classes": num_classes,
        "input_size": input_size,
        "preprocess": preprocess,
        "model_args": model_args or None,
    }
    selection = Selection(Path(data), None if labels is None else Path(labels), limit, subset)
    with shown(progress, "evaluate") as listener:
        kept = isinstance(model, str | Path) and (is_run(model) or is_compressed(model))
        is_bundle = isinstance(model, str | Path) and Path(model).is_dir() and not kept
        if isinstance(model, Bundle) or is_bundle:
            _refuse_for_bundle([option for option, value in choices.items() if value is not None])
            return evaluate_bundle(_read(model), selection, listener.step)  # type: ignore[arg-type]
        given = _in_memory(model, None)
        recipe = make_recipe(model=_model_name(model, given), targets=("none",), labels=labels, **choices)
        return evaluate_model(recipe, selection, listener.step, given)


@with_near_misses
def bench(
    bundle: "str | Path | Bundle",
    device: str = "local",
    *,
    metric: "Metric | None" = None,
    runs: int | None = None,
    min_time_s: float | None = None,
    rounds: int | None = None,
    warmup: int | None = None,
    threads: int | None = None,
    cpu_mask: int | None = None,
    cooldown_s: float | None = None,
    mlperf: bool = False,
    sustained_min: float | None = None,
    tool: str | Path | None = None,
    timeout_s: int = DEVICE_TIMEOUT_S,
    progress: "bool | Progress" = False,
) -> "Record":
    """Measure a bundle's file on a device.

    Args:
        bundle: its folder, or what `read_bundle` gave.
        device: `edgekit devices` lists them. It is held alone while it measures.
        metric: None: "latency", and "instructions" on an emulated device, which has no latency.
        runs: at least so many timed runs (50), and `min_time_s` seconds of them (1), in `rounds` processes (5).
        warmup: untimed runs before each round (5).
        threads: of the runtime (1).
        cpu_mask: cores that may be used, a bit each: 0xf0. None: any.
        cooldown_s: pause before each round (0).
        mlperf: MLPerf single stream instead: 1024 runs, 60 s, 300 s cool-down, p90 at 99 % confidence.
        sustained_min: run for so many minutes without a pause, in rounds of a minute.
        tool: TFLite's own benchmark_model binary for the device, instead of edgekit's runner.
        timeout_s: seconds that one round may take.
        progress: True shows the rounds in a terminal or notebook.

    Returns:
        The record: `summary` has `p50_ms`, its interval `low_ms` to `high_ms`, and what makes them doubtful as `noise`;
        or `instructions`.

    Raises:
        edgekit.EdgekitError: EK102, EK110 the bundle cannot be read; EK106 options that exclude each other; EK60x,
            EK611 from the device.
    """
    from edgekit.bench.measure import Bench
    from edgekit.bench.protocol import make_protocol
    from edgekit.bench.subject import subject_of
    from edgekit.devices.run_model import open_device
    from edgekit.report.progress import shown

    choices = {
        "runs": runs,
        "min_time_s": min_time_s,
        "rounds": rounds,
        "warmup": warmup,
        "threads": threads,
        "cpu_mask": cpu_mask,
        "cooldown_s": cooldown_s,
    }
    protocol = make_protocol(choices, is_mlperf=mlperf, minutes=sustained_min)
    subject = subject_of(_read(bundle))
    with open_device(device, exclusive=True) as opened, shown(progress, f"bench on {device}") as listener:
        measuring = Bench(opened, protocol, mlperf, None if tool is None else Path(tool), timeout_s)
        (record,) = measuring.run([subject], measuring.prepare(metric), listener.step)
    return record


def _read(bundle: "str | Path | Bundle") -> "Bundle":
    from edgekit.bundle.files import read_bundle

    return read_bundle(bundle) if isinstance(bundle, str | Path) else bundle


def _in_memory(model: object, name: str | None) -> "InMemory | None":
    """The module with its name; None for a model that is named."""
    if not isinstance(model, str | Path):
        from edgekit.source.in_memory import in_memory

        return in_memory(model, name)
    if name is not None:
        raise EdgekitError(
            "EK106",
            what="name= is for a module in memory",
            where="name",
            fix=f"leave it out: the bundle is called after {str(model)!r}; out= chooses the folder above",
        )
    return None


def _model_name(model: object, given: "InMemory | None") -> str:
    """What the recipe says: the name or path, or the class of a module."""
    return str(model) if given is None else given.class_name


def _preparation(prepare: "Preparation | Callable[[nn.Module], nn.Module] | None") -> "Preparation | None":
    """A plain function goes by its name."""
    from edgekit.source.prepare import Preparation

    if prepare is None or isinstance(prepare, Preparation):
        return prepare
    named = getattr(prepare, "__name__", "")
    return Preparation(named if named.isidentifier() else "prepare", prepare)


def _refuse_for_bundle(options: Sequence[str]) -> None:
    if options:
        raise EdgekitError(
            "EK106",
            what="a bundle holds its own weights and preprocessing",
            where=", ".join(options),
            fix="leave these options out, or name the model instead of its bundle",
        )
