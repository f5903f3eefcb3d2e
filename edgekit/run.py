"""What one export produced, stage by stage: records that nothing writes into once they are made."""

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgekit.artifact import Artifact, measured_elsewhere
from edgekit.errors import EdgekitError, Table
from edgekit.images.folder import ImageFolder
from edgekit.inputs.choose import Inputs
from edgekit.ladder.climb import Receipt
from edgekit.ladder.data_free import DataFree
from edgekit.progress import Progress
from edgekit.quant.diagnosis import Diagnosis
from edgekit.quant.quantizer import Quantized
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess
from edgekit.source import Source
from edgekit.target import FloatArray, Outputs, QuantScheme, Target
from edgekit.verify.causes import what_helps
from edgekit.verify.hops import Checked


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage cost.

    Args:
        cpu_s: user + system seconds of the whole process, all threads.
        peak_mb: the process's peak resident memory up to the end of the stage, MiB.
    """

    stage: str
    wall_s: float
    cpu_s: float
    peak_mb: float


class Clock:
    """Announces stages and keeps what each cost."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._costs: list[StageCost] = []

    @property
    def costs(self) -> tuple[StageCost, ...]:
        return tuple(self._costs)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce a stage and record what it cost."""
        self.progress.start(name)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        try:
            yield
            self.progress.finish(name)  # a stage that failed is not done: the error says so
        finally:
            spent = time.perf_counter() - wall_s, time.process_time() - cpu_s
            self._costs.append(StageCost(name, *spent, peak_memory_mb()))


@dataclass(frozen=True, slots=True)
class Floats:
    """The model in float.

    Args:
        feed: what the exported file is fed: raw 0..255 pixels where normalisation is part of the graph.
        traced: the graph as it was traced, or as the file had it.
        canonical: the graph behind simplify(); the traced one where that came quantized.
        passes: names of the passes that ran; empty for a graph that came quantized.
        prepared: name of what was done to the module before it was traced; empty where nothing was.
    """

    source: Source
    feed: Preprocess
    traced: ir.Model = field(repr=False)
    canonical: ir.Model = field(repr=False)
    passes: tuple[str, ...] = ()
    prepared: str = ""


@dataclass(frozen=True, slots=True)
class Images:
    """The pictures that an export used.

    Args:
        calibration: what decided the ranges; None where nothing was calibrated.
        parity: what every hop is compared on, and `compared`, f32[n, C, H, W], those inputs.
        unseen: what integer files are compared with the module on, end to end, where there are enough such images, and
            `expected` what the module gives on them.
        warnings: what is wrong with the calibration images, a sentence each.
    """

    calibration: Inputs | None
    parity: Inputs
    compared: FloatArray = field(repr=False)
    unseen: Inputs | None = None
    expected: Outputs | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Integers:
    """The graph of one number scheme.

    Args:
        graph: in QDQ form.
        simulated: what it gives on the parity inputs, computed in float; None where it is the source's own graph.
        steps: output -> fixed step of the kernel that writes it, where it has one.
        decided: ranges and weights that were chosen; None for a graph that came quantized.
        receipt: the rungs that were tried, and `judged` the labelled images that they were measured on.
    """

    scheme: QuantScheme
    graph: ir.Model = field(repr=False)
    simulated: Outputs | None = field(default=None, repr=False)
    steps: Mapping[str, float] = field(default_factory=dict)
    decided: Quantized | None = field(default=None, repr=False)
    receipt: Receipt | None = field(default=None, repr=False)
    judged: ImageFolder | None = field(default=None, repr=False)
    data_free: DataFree | None = field(default=None, repr=False)
    diagnosis: Diagnosis | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """What one target came to: a bundle, numbers of a gate that failed, or why there is no file.

    Args:
        folder: of the bundle, or of the numbers of a failed gate.
    """

    target: Target
    artifact: Artifact | None = field(default=None, repr=False)
    folder: Path | None = None
    refused: EdgekitError | None = None

    @property
    def passed(self) -> bool:
        return self.artifact is not None and self.artifact.parity.first_failure is None


@dataclass(frozen=True, slots=True)
class Run:
    """Everything one export produced.

    Args:
        integers: by number scheme, for each that a target asked for.
        stages: the float stages on the parity inputs, the reference of all hops first.
        results: one per target of the recipe, in its order.
    """

    recipe: Recipe
    floats: Floats
    images: Images
    integers: Mapping[QuantScheme, Integers] = field(repr=False)
    stages: tuple[Checked, ...] = field(repr=False)
    results: tuple[Result, ...] = ()
    costs: tuple[StageCost, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        """A line for each target."""
        text: str = _notebook().run_text(self)
        return text

    def _repr_html_(self) -> str:
        """The tables of the terminal, for a notebook."""
        html: str = _notebook().run_html(self)
        return html

    @property
    def source(self) -> Source:
        return self.floats.source

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """Target -> its file with the proof, gates that failed included."""
        return {result.target.name: result.artifact for result in self.results if result.artifact is not None}

    @property
    def bundles(self) -> dict[str, Path]:
        """Target -> folder of its bundle."""
        return {r.target.name: r.folder for r in self.results if r.passed and r.folder is not None}

    @property
    def failures(self) -> dict[str, Path]:
        """Target whose gate failed -> folder with its numbers."""
        return {r.target.name: r.folder for r in self.results if not r.passed and r.folder is not None}

    @property
    def refused(self) -> dict[str, EdgekitError]:
        """Target -> why there is no file of it."""
        return {r.target.name: r.refused for r in self.results if r.refused is not None}

    def with_result(self, result: Result, costs: tuple[StageCost, ...]) -> "Run":
        return replace(self, results=(*self.results, result), costs=costs)

    def errors(self) -> tuple[EdgekitError, ...]:
        """One error for the gates that failed and one for each reason to refuse a target; empty when all went well."""
        reasons = {str(error): error for error in self.refused.values()}
        failed = gates_failed(self)
        return (*([failed] if failed else []), *reasons.values())

    def raise_for_failures(self) -> None:
        """Raise the error with the highest exit code, the others as its notes; nothing when every target has a bundle.

        Raises:
            EdgekitError: EK501 for a gate that failed, or why a target was refused.
        """
        errors = self.errors()
        if not errors:
            return
        worst = max(errors, key=lambda error: error.exit_code)
        for note in (f"also: {error}" for error in errors if error is not worst):
            if note not in getattr(worst, "__notes__", ()):  # a refusal is kept, and may be raised again
                worst.add_note(note)
        raise worst


def compared_on(run: Run) -> str:
    """What the hops of a run were measured on, in words."""
    hops = (hop for artifact in run.artifacts.values() for hop in artifact.parity.hops)
    return f"compared on {len(run.images.compared)} {run.images.parity.description}{measured_elsewhere(hops)}"


def _notebook() -> Any:
    """What shows a run. It stands above this module, which it reads, so it is looked up when somebody asks."""
    return import_module("edgekit.report.notebook")


def gates_failed(run: Run) -> EdgekitError | None:
    """EK501 naming each target's first bad hop and where its numbers are."""
    made = [(r, r.artifact.parity.first_failure) for r in run.results if r.artifact is not None]
    failed = [(result, hop) for result, hop in made if hop is not None]
    rows = [
        (r.target.name, f"{hop.reference} -> {hop.name}", hop.gate, str(r.folder and r.folder / "report.html"))
        for r, hop in failed
    ]
    if not rows:
        return None
    name, first, _, report = rows[0]
    helps = what_helps(failed[0][1], failed[0][0].target, _repeats(run) if failed[0][1].name == "onnx" else True)
    parity = run.artifacts[name].parity
    kept = any((run.recipe.out / run.source.name / target).exists() for target in run.failures)
    return EdgekitError(
        "EK501",
        what=f"the hop {first} of {name} moved the outputs further than its gate allows; no bundle was written"
        + (", the one of an earlier export is still there" if kept else ""),
        where=failed[0][1].inputs or f"{parity.inputs}, {parity.images} inputs",
        fix=f"{helps}; see {report}",
        table=Table(("target", "first failed hop", "gate", "numbers"), tuple(rows)),
    )


def _repeats(run: Run) -> bool:
    """Whether the module itself gives the same twice; what did not cannot be compared with anything."""
    from edgekit.source.reference import repeats  # torch is loaded when a model is

    return run.source.module is None or repeats(run.source.module, run.images.compared[0])


def peak_memory_mb() -> float:
    """The most resident memory this process ever held, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024  # bytes there, kilobytes on Linux
