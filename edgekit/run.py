"""The Run: everything one export produced, stage by stage, with what each stage cost."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir

from edgekit.artifact import Artifact
from edgekit.images.folder import ImageFolder
from edgekit.inputs.choose import Inputs
from edgekit.ladder.climb import Receipt
from edgekit.ladder.data_free import DataFree
from edgekit.progress import Progress, Silent
from edgekit.quant.diagnosis import Diagnosis
from edgekit.quant.quantizer import Quantized, Quantizer
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess
from edgekit.source import Source
from edgekit.target import FloatArray, QuantScheme


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


@dataclass(slots=True)
class Run:
    """One export. Every intermediate is kept, so a stage can be looked at or repeated without the ones before it.

    A field without a default is filled by its stage; reading it before is an AttributeError.

    Args:
        feed: what the exported files are fed; raw pixels when normalisation is folded into the graph.
        traced: the float ONNX graph as exported or read, and `simplified` the canonical form of it.
        quantizer: makes the QDQ graph of any method; `calibration` None means that no target asked for one.
        warnings: what is suspicious about the calibration images, with the evidence.
        decided: per scheme, the parameters and integers of the graph; `receipts` the rungs that were tried for it, and
            `diagnoses` its layers against float, `data_free` distilled calibration images against real ones.
        judged: labelled images that rungs were measured on.
        quantized: the QDQ graph of each scheme that needs calibration.
        outputs: "torch", "onnx", "simplified" -> f32[n, classes] on `parity_images`, f32[n, C, H, W].
        artifacts, bundles, failures: per target name; `failures` names the folder with a failed gate's report.
    """

    recipe: Recipe
    progress: Progress = field(default_factory=Silent, repr=False)
    source: Source = field(init=False, repr=False)
    feed: Preprocess = field(init=False, repr=False)
    traced: ir.Model = field(init=False, repr=False)
    simplified: ir.Model = field(init=False, repr=False)
    calibration: Inputs | None = None
    quantizer: Quantizer = field(init=False, repr=False)
    warnings: tuple[str, ...] = ()
    decided: dict[QuantScheme, Quantized] = field(default_factory=dict, repr=False)
    receipts: dict[QuantScheme, Receipt] = field(default_factory=dict, repr=False)
    diagnoses: dict[QuantScheme, Diagnosis] = field(default_factory=dict, repr=False)
    data_free: dict[QuantScheme, DataFree] = field(default_factory=dict, repr=False)
    judged: ImageFolder | None = field(default=None, repr=False)
    quantized: dict[QuantScheme, ir.Model] = field(default_factory=dict, repr=False)
    parity_inputs: Inputs = field(init=False, repr=False)
    parity_images: FloatArray = field(init=False, repr=False)
    outputs: dict[str, FloatArray] = field(default_factory=dict, repr=False)
    quantized_outputs: dict[QuantScheme, FloatArray] = field(default_factory=dict, repr=False)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    bundles: dict[str, Path] = field(default_factory=dict)
    failures: dict[str, Path] = field(default_factory=dict)
    costs: list[StageCost] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce a stage and record what it cost."""
        self.progress.start(name)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            spent = time.perf_counter() - wall_s, time.process_time() - cpu_s
            self.costs.append(StageCost(name, *spent, peak_memory_mb()))
            self.progress.finish(name)


def peak_memory_mb() -> float:
    """The most resident memory this process ever held, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024  # bytes there, kilobytes on Linux
