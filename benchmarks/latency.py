"""int8 latency against the file every other converter writes, and against fp32: ratios from one run.

    python benchmarks/latency.py                     both MobileNetV3, 224 pixels, one thread
    python benchmarks/latency.py mobilenet_v2 --rounds 40

All files of a model are run in turn in one process, so that a change of the machine's speed hits them alike; the figure
is CPU time per inference, median over rounds. The HARD_SWISH column is the same weights and calibration with HardSwish
left as TFLite's builtin, which XNNPACK refuses in int8.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import onnx_ir as ir
from rich.console import Console
from rich.table import Table
from settled import Settled

from edgekit.artifact import Emitted
from edgekit.passes import FOR_INTEGERS
from edgekit.passes.decompose_hard_swish import decompose_hard_swish
from edgekit.targets.tflite.delegate import delegation
from edgekit.targets.tflite.run import load_interpreter


def prepare_with_builtin_hard_swish(model: ir.Model) -> ir.Model:
    """The rewrites before quantization, without the one for HardSwish."""
    copy = model.clone()
    for rewrite in FOR_INTEGERS:
        if rewrite is not decompose_hard_swish:
            rewrite(copy)
    return copy


def median_ms(files: dict[str, bytes], rounds: int, repeats: int) -> dict[str, float]:
    """CPU milliseconds per inference of each file, all files in turn in every round."""
    runs: dict[str, Callable[[], None]] = {}
    for name, data in files.items():
        interpreter = load_interpreter(data)
        interpreter.invoke()
        runs[name] = interpreter.invoke
    samples: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(rounds):
        for name, invoke in runs.items():
            start = time.process_time()
            for _ in range(repeats):
                invoke()
            samples[name].append((time.process_time() - start) / repeats * 1e3)
    return {name: statistics.median(values) for name, values in samples.items()}


def measure(name: str, rounds: int, repeats: int) -> dict[str, tuple[float, Emitted]]:
    model = Settled.make(name)
    files = {
        "fp32": model.emit("tflite-fp32"),
        "int8 HARD_SWISH": model.emit("tflite-int8", prepare_with_builtin_hard_swish),
        "int8": model.emit("tflite-int8"),
    }
    return {
        kind: (ms, files[kind])
        for kind, ms in median_ms({kind: file.data for kind, file in files.items()}, rounds, repeats).items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["mobilenet_v3_small", "mobilenet_v3_large"])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=10, help="inferences per round")
    options = parser.parse_args()
    table = Table("model", "file", "CPU ms", "fp32 / this", "HARD_SWISH / this", "partitions", "TRANSPOSE", "bytes")
    for name in options.models:
        figures = measure(name, options.rounds, options.repeats)
        for kind, (ms, emitted) in figures.items():
            table.add_row(
                name,
                kind,
                f"{ms:.2f}",
                f"{figures['fp32'][0] / ms:.2f}",
                f"{figures['int8 HARD_SWISH'][0] / ms:.2f}",
                str(delegation(emitted).partitions),
                str(emitted.operators.get("TRANSPOSE", 0)),
                f"{len(emitted.data):,}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
