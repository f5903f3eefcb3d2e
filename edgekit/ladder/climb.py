"""The ladder: rungs of quantization from cheap to dear, climbed until what was asked for is reached.

What a rung gives is measured on the file that the target writes, on labelled images (`--eval`) or, without labels, on
the images that every hop is compared on. The receipt keeps every rung that was tried.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

from edgekit.errors import EdgekitError, Table
from edgekit.graph.outputs import concatenate
from edgekit.graph.runner import GraphRunner
from edgekit.ladder.judge import Judge, demand_of
from edgekit.ladder.named import Rung, named_rung, rung_of_quality
from edgekit.quant.method import RUNGS, Method, keeping
from edgekit.quant.parameters import ActivationType
from edgekit.quant.quantizer import Quantized, Quantizer
from edgekit.quant.sensitivity import Sensitivity, nodes_of, rank
from edgekit.recipe import Recipe
from edgekit.target import EmitOptions, Outputs, Target, names_with
from edgekit.verify.parity import compare

RANKED_ON = 16  # calibration images that values are ranked on: a graph per value is run on them
KEPT = (1, 2, 4, 8, 16, 32)  # how many values the rungs above the last one keep in float32


@dataclass(frozen=True, slots=True)
class Tried:
    """One rung that was tried.

    Args:
        top1, drop: accuracy and what it lost against float, in percent and points; None without labels.
        agreement: share (0..1) of images with the float graph's class; None where there are no classes.
        sqnr_db: of the output with the lowest, which `output` names where there are several.
        p50_ms: median of the file's runs on this host, one image each.
        cpu_s: what it took to make and to measure.
        kept: values that stay in float32, with the operators around them.
    """

    rung: str
    top1: float | None
    drop: float | None
    agreement: float | None
    sqnr_db: float
    output: str
    size_bytes: int
    p50_ms: float
    cpu_s: float
    met: bool
    kept: tuple[Sensitivity, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """Every rung that was tried; the last one was taken.

    Args:
        keep_float: patterns of the modules that were in float32 on each of them, because the recipe says so.
    """

    target: str
    demand: str
    images: str
    tried: tuple[Tried, ...]
    keep_float: tuple[str, ...] = ()


def meets(recipe: Recipe, top1_drop: float | None, agreement: float | None, sqnr_db: float) -> bool:
    """Whether a rung gives what was asked for."""
    drop = recipe.max_drop is None or (top1_drop is not None and top1_drop <= recipe.max_drop)
    same = recipe.min_agreement is None or (agreement is not None and 100 * agreement >= recipe.min_agreement)
    return drop and same and (recipe.min_sqnr is None or sqnr_db >= recipe.min_sqnr)


@dataclass(slots=True)
class Ladder:
    """Climbs for one number scheme.

    Args:
        float_graph: the simplified graph, which the reference outputs come from.
        target: the first of the scheme's targets: its file is measured.
    """

    recipe: Recipe
    quantizer: Quantizer
    target: Target
    judge: Judge | None
    tried: list[Tried] = field(default_factory=list)

    def climb(self) -> tuple[Quantized, Receipt | None]:
        """The first rung that gives what was asked for, or the rung that was named or is of the chosen quality.

        Raises:
            EdgekitError: EK505 when no rung does, with all that were tried.
        """
        demand = demand_of(self.recipe)
        if not demand or self.judge is None:
            rung = named_rung(self.recipe, self._dtype) or rung_of_quality(self.recipe, self._dtype)
            started_s = time.process_time()
            found = self.quantizer.quantize(rung.method, self.target.scheme)
            if self.judge is None:
                return found, None
            self.measure(rung.name, found, started_s)
            return found, self.receipt("none")
        for rung in self._rungs():
            started_s = time.process_time()
            found = self.quantizer.quantize(rung.method, self.target.scheme)
            if self.measure(rung.name, found, started_s, rung.kept):
                return found, self.receipt(demand)
        raise missed(self.receipt(demand), self.recipe.method is not None)

    @property
    def _dtype(self) -> ActivationType:
        activation = self.target.scheme.activation
        assert activation != "float32"
        return activation

    def receipt(self, demand: str) -> Receipt:
        """All that was measured so far."""
        assert self.judge is not None
        asked = self.recipe.kept_float
        return Receipt(self.target.name, demand, self.judge.description, tuple(self.tried), asked)

    def _rungs(self) -> Iterator[Rung]:
        """The one that was named; else all, then the last one with more and more operators in float32."""
        named = named_rung(self.recipe, self._dtype)
        if named is not None:
            yield named
            return
        for name, method in RUNGS[self._dtype].items():
            yield Rung(name, method)
        ranked = self._ranked(method)
        for count in KEPT:
            kept = tuple(ranked[:count])
            yield Rung(f"mixed {len(kept)}", keeping(method, nodes_of(kept)), kept)
            if count >= len(ranked):
                return

    def _ranked(self, method: Method) -> list[Sensitivity]:
        images = self.quantizer.walked_images()[:RANKED_ON]

        def run(graph: ir.Model) -> Outputs:
            return GraphRunner(graph)(images)

        return rank(self.quantizer, method, self.target.scheme, run, run(self.quantizer.model))

    def measure(
        self, rung: str, found: Quantized, started_s: float | None = None, kept: tuple[Sensitivity, ...] = ()
    ) -> bool:
        """Measure a rung's file and keep its line of the receipt; whether it gives what was asked for.

        Args:
            started_s: CPU seconds of the process when the rung was begun; now, where that does not matter.
        """
        assert self.judge is not None
        started_s = time.process_time() if started_s is None else started_s
        emitted = self.target.emit(found.write(), self.target, EmitOptions(io=self.recipe.io))
        outputs, p50_ms = run_file(emitted.data, self.target, self.judge)
        reference, scores = self.judge.reference, self.judge.scores
        hop = compare(reference, outputs, name=rung, reference_name="float", scores=scores)
        top1, before = self.judge.accuracy(outputs), self.judge.accuracy(reference)
        drop = None if top1 is None or before is None else before - top1
        worst = hop.worst
        met = meets(self.recipe, drop, hop.agreement, worst.sqnr_db) and hop.passed
        line = Tried(
            rung=rung,
            top1=top1,
            drop=drop,
            agreement=hop.agreement,
            sqnr_db=worst.sqnr_db,
            output=worst.output if len(hop.outputs) > 1 else "",
            size_bytes=len(emitted.data),
            p50_ms=p50_ms,
            cpu_s=time.process_time() - started_s,
            met=met,
            kept=kept,
        )
        self.tried.append(line)
        return met


def run_file(data: bytes, target: Target, judge: Judge) -> tuple[Outputs, float]:
    """Outputs of a file on the judge's images, and the median milliseconds of an image."""
    outputs, spent_s = [], []
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        file = Path(folder) / target.model_file
        file.write_bytes(data)
        runner = target.run(file)
        for image in (image for batch in judge.batches() for image in batch):
            started_s = time.perf_counter()
            outputs.append(runner(image[None]))
            spent_s.append(time.perf_counter() - started_s)
    return concatenate(outputs), 1000 * float(np.median(spent_s))


def missed(receipt: Receipt, named: bool = False) -> EdgekitError:
    """EK505 with every rung that was tried.

    Args:
        named: whether the recipe named the one that was.
    """
    rows = tuple(receipt_row(line) for line in receipt.tried)
    tried = (
        f"the method {receipt.tried[-1].rung} of {receipt.target} does not give"
        if named
        else (f"no rung of {receipt.target} gives")
    )
    instead = "leave --method out, so that others are tried" if named else f"take {names_with('int16')}"
    return EdgekitError(
        "EK505",
        what=f"{tried} {receipt.demand}; nothing was written",
        where=receipt.images,
        fix=f"ask for less, calibrate on other or more images (--calibration, --samples), or {instead}",
        table=Table(RECEIPT_COLUMNS, rows),
    )


RECEIPT_COLUMNS = ("rung", "top-1", "drop", "top-1 same", "SQNR", "size", "p50 here", "CPU", "")


def receipt_row(line: Tried) -> tuple[str, ...]:
    """One rung as text cells."""
    return (
        line.rung,
        "-" if line.top1 is None else f"{line.top1:.2f} %",
        "-" if line.drop is None else f"{line.drop:+.2f}",
        "-" if line.agreement is None else f"{100 * line.agreement:.2f} %",
        f"{line.sqnr_db:.1f} dB" + (f" ({line.output})" if line.output else ""),
        f"{line.size_bytes / 1e6:.2f} MB",
        f"{line.p50_ms:.2f} ms",
        f"{line.cpu_s:.1f} s",
        "met" if line.met else "",
    )
