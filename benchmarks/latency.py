"""int8 latency against the file every other converter writes, and against fp32: ratios from one run.

    python benchmarks/latency.py                     both MobileNetV3, 224 pixels, one thread
    python benchmarks/latency.py mobilenet_v2 --rounds 40
    python benchmarks/latency.py resnet18 --beside resnet18@quantize_static.onnx resnet18@litert-torch.tflite
    python benchmarks/latency.py MODELS --beside FILES --markdown docs/latency.md

All files of a model are run in one process, every round in another order, so that a change of the machine's speed hits
them alike; the figure is CPU time per inference, median over rounds. Every few rounds all are loaded anew, in another
order: where its weights fall in memory makes one and the same file some percent faster or slower. The HARD_SWISH row is
the same weights and calibration with HardSwish left as TFLite's builtin, which XNNPACK refuses in int8. Files that
other tools wrote take turns too: `MODEL@TOOL`.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from machine import machine
from rich.console import Console
from rich.table import Table
from settled import Settled

from edgekit.graph.session import exact_int8, open_session
from edgekit.passes import FOR_INTEGERS
from edgekit.passes.decompose_hard_swish import decompose_hard_swish
from edgekit.registry import models
from edgekit.target import Emitted
from edgekit.targets.tflite.delegate import delegation
from edgekit.targets.tflite.run import load_interpreter

HARD_SWISH = "int8 HARD_SWISH"
INTRODUCTION = """\
# Latency beside other tools

Written by `python benchmarks/latency.py MODELS --beside FILES --markdown docs/latency.md`. All files of a model take
turns in one process on one thread, in random order; a figure is CPU time per inference, the median over rounds, and a
ratio the median of the rounds' own with half its 95 % interval. All files are loaded anew every few rounds: where the
weights fall in memory makes one file some percent faster or slower. Statistics are settled, not trained
(docs/zoo.md), which changes no kernel's time.

- `fp32`, `int8`, `ort-int8`: edgekit's tflite-fp32, tflite-int8 and ort-int8. Only of the TFLite files are partitions
  known.
- `int8 HARD_SWISH`: the same with HardSwish as TFLite's builtin, where that differs.
- `litert.tflite`, `litert_int8.tflite`: the same network by litert-torch 0.10 in float, and then by its quantizer
  (static, int8 weights and activations).
"""


@dataclass(frozen=True)
class Candidate:
    """A file that takes turns: its bytes, and what edgekit knows of it if edgekit lowered it to TFLite."""

    data: bytes
    suffix: str
    emitted: Emitted | None = None

    @staticmethod
    def of(emitted: Emitted) -> "Candidate":
        return Candidate(emitted.data, ".tflite", emitted)

    def inference(self) -> Callable[[], object]:
        """A call that runs it once, on whatever its input holds: TFLite's and ONNX Runtime's kernels do not ask."""
        return tflite_inference(self.data) if self.suffix == ".tflite" else ort_inference(self.data)


def tflite_inference(data: bytes) -> Callable[[], object]:
    invoke: Callable[[], object] = load_interpreter(data).invoke
    return invoke


def ort_inference(data: bytes) -> Callable[[], object]:
    session = open_session(data, "model in memory", threads=1, **exact_int8())
    given = session.get_inputs()[0]
    stored = given.type.removeprefix("tensor(").removesuffix(")").replace("float", "float32")
    feed = {given.name: np.zeros(given.shape, stored)}
    return lambda: session.run(None, feed)


def prepare_with_builtin_hard_swish(model: ir.Model) -> ir.Model:
    """The rewrites before quantization, without the one for HardSwish."""
    copy = model.clone()
    for rewrite in FOR_INTEGERS:
        if rewrite is not decompose_hard_swish:
            rewrite(copy)
    return copy


ROUNDS_PER_LOADING = 5


def samples_ms(candidates: Mapping[str, Candidate], rounds: int, repeats: int) -> dict[str, list[float]]:
    """CPU milliseconds per inference of each file in each round; see above for the orders."""
    shuffle = random.Random(0).shuffle
    order = list(candidates)
    samples: dict[str, list[float]] = {name: [] for name in order}
    runs: dict[str, Callable[[], object]] = {}
    for index in range(rounds):
        shuffle(order)
        if index % ROUNDS_PER_LOADING == 0:
            runs.clear()
            runs.update({name: candidates[name].inference() for name in order})
        for name in order:
            runs[name]()  # until now the caches held another file's weights
            start = time.process_time()
            for _ in range(repeats):
                runs[name]()
            samples[name].append((time.process_time() - start) / repeats * 1e3)
    return samples


def median_ms(candidates: Mapping[str, Candidate], rounds: int, repeats: int) -> dict[str, float]:
    """CPU milliseconds per inference of each file, median over rounds."""
    return {name: statistics.median(values) for name, values in samples_ms(candidates, rounds, repeats).items()}


def ratio(samples: Sequence[float], beside: Sequence[float]) -> tuple[float, float]:
    """(median of the rounds' ratios, half its 95 % interval): files of one round are compared, not of two.

    The interval is that of a median, whose deviation is 1.25 times that of a mean; the deviation comes from the middle
    half of the ratios, since a neighbour's burst in one round says nothing of the files.
    """
    ratios = [a / b for a, b in zip(samples, beside, strict=True)]
    quartiles = statistics.quantiles(ratios, n=4, method="inclusive")
    deviation = (quartiles[2] - quartiles[0]) / 1.35
    return statistics.median(ratios), 1.96 * 1.25 * deviation / len(ratios) ** 0.5


def candidates_of(name: str, beside: list[Path]) -> dict[str, Candidate]:
    """The files of one zoo model that take turns: edgekit's, and those of `beside` that are named after it."""
    model = Settled.make(name)
    found = {"fp32": Candidate.of(model.emit("tflite-fp32")), "int8": Candidate.of(model.emit("tflite-int8"))}
    builtin = Candidate.of(model.emit("tflite-int8", prepare_with_builtin_hard_swish))
    if builtin.data != found["int8"].data:
        found[HARD_SWISH] = builtin
    found["ort-int8"] = Candidate(model.emit("ort-int8").data, ".onnx")
    for file in beside:
        owner, _, tool = file.stem.partition("@")
        if owner == name:
            found[tool + file.suffix] = Candidate(file.read_bytes(), file.suffix)
    return found


COLUMNS = ("model", "file", "CPU ms", "this / int8", "this / fp32", "partitions", "TRANSPOSE", "bytes")


def rows_of(
    name: str, candidates: Mapping[str, Candidate], samples: Mapping[str, Sequence[float]]
) -> list[tuple[str, ...]]:
    """One row of COLUMNS per file."""
    rows = []
    for kind, candidate in candidates.items():
        emitted = candidate.emitted
        ms = f"{statistics.median(samples[kind]):.2f}"
        ratios = ("{:.3f} ± {:.3f}".format(*ratio(samples[kind], samples[other])) for other in ("int8", "fp32"))
        partitions = str(delegation(emitted).partitions) if emitted else ""
        transposes = str(emitted.operators.get("TRANSPOSE", 0)) if emitted else ""
        rows.append((name, kind, ms, *ratios, partitions, transposes, f"{len(candidate.data):,}"))
    return rows


def markdown(rows: Sequence[tuple[str, ...]]) -> str:
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{INTRODUCTION}\nThis machine: {machine()}.\n\n{table}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["mobilenet_v3_small", "mobilenet_v3_large"])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=10, help="inferences per round")
    parser.add_argument(
        "--beside", type=Path, nargs="*", default=[], help="other tools' files, MODEL@TOOL.tflite or .onnx"
    )
    parser.add_argument("--markdown", type=Path, help="write the table there too")
    options = parser.parse_args()
    rows: list[tuple[str, ...]] = []
    for name in [models.get(name).name for name in options.models]:
        candidates = candidates_of(name, options.beside)
        found = rows_of(name, candidates, samples_ms(candidates, options.rounds, options.repeats))
        table = Table(*COLUMNS)
        for row in found:
            table.add_row(*row)
        Console().print(table)
        rows += found
    if options.markdown is not None:
        options.markdown.write_text(markdown(rows))


if __name__ == "__main__":
    main()
