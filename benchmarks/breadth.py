"""How many of other libraries' models edgekit exports, in how many partitions, and how they are traced: one table.

    python benchmarks/breadth.py --record benchmarks/breadth.jsonl                   all models that the record lacks
    python benchmarks/breadth.py --record benchmarks/breadth.jsonl resnet18 swin_t   these, again
    python benchmarks/breadth.py --record benchmarks/breadth.jsonl --table           only write docs/breadth.md

In an environment with timm and torchvision. One line per model is appended to the record, so that it can be stopped and
goes on. Weights are random; the statistics of BatchNorm are those of images (settled.py).
"""

import argparse
import json
import os
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from breadth_models import Subject, subjects
from breadth_table import breadth_markdown
from settled import settle_batch_norm, smooth_images, soften_batch_norm
from torch import nn

from edgekit.graph.runner import GraphRunner
from edgekit.passes import prepare_integer, simplify
from edgekit.quant import calibrate, quantize
from edgekit.quant.float_heads import float_heads
from edgekit.target import EmitOptions, FloatArray, targets
from edgekit.targets.tflite.delegate import delegation
from edgekit.targets.tflite.run import TFLiteRunner
from edgekit.trace import trace
from edgekit.trace.outputs import named_tensors
from edgekit.trace.recorder import _record, record

ROOT = Path(__file__).resolve().parent.parent
FLOAT, INTEGER = targets.get("tflite-fp32"), targets.get("tflite-int8")
IMAGES = 4
MEMORY_BYTES = 12 * 2**30
CPU_S = 900


def measure(subject: Subject) -> dict[str, Any]:
    """What is known of one model, an error where a stage refused it."""
    warnings.simplefilter("ignore")
    module, images = made(subject)
    found: dict[str, Any] = {"input": list(images.shape[1:])}
    shape = (1, *images.shape[1:])
    found["recorded"] = record(module, shape) is not None
    if not found["recorded"]:
        found["why_not"] = not_recorded(module, images)
    graph = simplify(trace(module, shape))
    stages: dict[str, Callable[[], dict[str, Any]]] = {
        "float": lambda: float_file(module, graph, images),
        "integer": lambda: integer_file(graph, images),
    }
    for stage, work in stages.items():
        try:
            found |= work()
        except Exception as error:  # noqa: BLE001 - a stage that fails is a result
            found[f"{stage}_error"] = explained(error)
    return found


def not_recorded(module: nn.Module, images: FloatArray) -> str:
    """What the recorder has no rule for."""
    try:
        _record(module, torch.from_numpy(images[:1]))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return str(error)[:200]
    return "two images give two graphs"


def made(subject: Subject) -> tuple[nn.Module, FloatArray]:
    """The module in eval mode with settled statistics, and images at the smallest size that it takes."""
    reason: Exception | None = None
    for size in subject.sizes:
        height, width = (size, size) if isinstance(size, int) else size
        for given in [{"size": size}, {}] if subject.sized else [{}]:
            torch.manual_seed(0)
            try:
                module = subject.build(**given).eval()
                images = smooth_images(IMAGES, height, width)[:, : subject.channels]
                if subject.channels > 3:
                    images = np.tile(images, (1, -(-subject.channels // 3), 1, 1))[:, : subject.channels]
                with torch.no_grad():
                    module(torch.from_numpy(images[:1]))
                soften_batch_norm(module)
                try:
                    return settle_batch_norm(module, images), images
                except RuntimeError:  # made for one image at a time
                    return settle_batch_norm(module, images, 1), images
            except Exception as error:  # noqa: BLE001 - a size that the model does not take
                reason = error
    raise RuntimeError(f"it runs at no size of {subject.sizes}: {reason}")


def float_file(module: nn.Module, graph: Any, images: FloatArray) -> dict[str, Any]:
    """Whether tflite-fp32's file is the module's function, within the target's gate."""
    emitted = FLOAT.emit(graph, FLOAT, EmitOptions())
    with torch.no_grad():
        rows = [named_tensors(module(torch.from_numpy(image[None]))) for image in images]
    wanted = {name: np.stack([row[name].numpy() for row in rows]) for name in rows[0]}
    given = TFLiteRunner(emitted.data)(images)
    worst = max(
        float(np.abs(np.ravel(given[name]) - np.ravel(value)).max() / max(float(np.ptp(value)), 1e-12))
        for name, value in wanted.items()
    )
    limit = FLOAT.tolerance.max_abs
    assert limit is not None
    return {"exported": worst <= limit, "difference": worst, "transposes": emitted.operators.get("TRANSPOSE", 0)}


def integer_file(graph: Any, images: FloatArray) -> dict[str, Any]:
    """The int8 file's partitions, and which operators XNNPACK left."""
    ready = prepare_integer(graph)
    ranges = calibrate(ready, [images])
    small = float_heads(ready, ranges, "int8")
    emitted = INTEGER.emit(quantize(ready, ranges, INTEGER.scheme, tuple(small)), INTEGER, EmitOptions())
    cut = delegation(emitted)
    left = sorted({f"{node.operator}: {node.reason}" for node in cut.undelegated})
    given, wanted = TFLiteRunner(emitted.data)(images), GraphRunner(graph)(images)
    worst = min(sqnr(wanted[name], given[name]) for name in wanted)
    return {"partitions": cut.partitions, "undelegated": len(cut.undelegated), "left": left, "sqnr_db": worst}


def sqnr(wanted: FloatArray, given: FloatArray) -> float:
    noise = float(np.square(np.ravel(wanted).astype(np.float64) - np.ravel(given)).sum())
    signal = float(np.square(wanted.astype(np.float64) - wanted.mean()).sum())
    return float(round(10 * np.log10(max(signal, 1e-30) / max(noise, 1e-30)), 1))


def explained(error: Exception) -> str:
    """The error's line, with the table of what a target refused."""
    table = getattr(error, "table", None)
    rows = sorted({" | ".join(map(str, row[1:4:2])) for row in table.rows}) if table is not None else []
    where = "" if table is not None or type(error).__name__ == "EdgekitError" else traceback.format_exc()[-300:]
    return " ".join([f"{type(error).__name__}: {str(error)[:300]}", *rows[:12], where])


def in_fork(subject: Subject) -> dict[str, Any]:
    """`measure` in a copy of this process with limits: what it takes is given back, and a crash is a result."""
    read, write = os.pipe()
    started = time.perf_counter()
    child = os.fork()
    if not child:
        os.close(read)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES + 30 * 2**30, MEMORY_BYTES + 30 * 2**30))
        try:
            found = measure(subject)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is this model's result
            found = {"error": explained(error)}  # type: ignore[arg-type]
        with os.fdopen(write, "w") as pipe:
            json.dump(found, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    _, status, used = os.wait4(child, 0)
    found = json.loads(text) if text else {"error": f"ended with status {status}"}
    return {**found, "cpu_s": round(used.ru_utime + used.ru_stime, 1), "wall_s": round(time.perf_counter() - started)}


def read_record(file: Path) -> dict[tuple[str, str], Mapping[str, Any]]:
    """(group, name) -> the last line about it."""
    lines = file.read_text().splitlines() if file.exists() else []
    documents = [json.loads(line) for line in lines]
    return {(document["group"], document["name"]): document for document in documents}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="all that the record lacks, when none is named")
    parser.add_argument("--record", type=Path, required=True, help="one line of JSON per model")
    parser.add_argument("--group", help="only models of this group")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = read_record(options.record)
    for subject in [] if options.table else list(subjects()):
        key = subject.group, subject.name
        if options.group not in (None, subject.group):
            continue
        if subject.name not in options.models if options.models else key in known:
            continue
        found = {"group": subject.group, "name": subject.name, **in_fork(subject)}
        with options.record.open("a") as file:
            file.write(json.dumps(found) + "\n")
        print(json.dumps(found), flush=True)
    text = breadth_markdown(read_record(options.record), list(subjects()))
    sys.stdout.write(text)
    if options.table:
        (ROOT / "docs" / "breadth.md").write_text(text)


if __name__ == "__main__":
    main()
