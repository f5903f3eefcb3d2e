"""Every way to compress, on a model of every family, to two integer targets: does the file still say what the net says?

    python benchmarks/compression.py --images DIR                 all cells that the record lacks
    python benchmarks/compression.py --images DIR mobilenet_v2    these, again

The nets are settled (settled.py), not trained: the table shows that what was taken out leaves a graph that exports with
parity, and what it costs, and nothing about accuracy. Writes benchmarks/compression.json after every cell, so that it
can be stopped and goes on, and the table of docs/compression.md from it.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from settled import know_images, settle

from edgekit import EdgekitError, export
from edgekit.artifact import hop_document
from edgekit.compress.preparation import compress
from edgekit.compress.store import counts_of
from edgekit.images.folder import ImageFolder
from edgekit.recipe import Compression
from edgekit.registry import models
from edgekit.source.graph_module import GraphModule
from edgekit.source.zoo import reference_preprocess
from edgekit.trace import trace

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "compression.json"
PAGE = ROOT / "docs" / "compression.md"
START, END = "<!-- table: benchmarks/compression.py -->\n", "<!-- end of table -->\n"
TARGETS = ("tflite-int8", "ort-int8")
IMAGES, SMALLEST = 16, 64
FAMILIES = (
    *("squeezenet1_1", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "tf_mobilenetv3_small_minimal_100"),
    *("shufflenet_v2_x0_5", "shufflenet_v1_g3", "resnet20_cifar", "resnet18", "efficientnet_lite0", "efficientnet_b0"),
    *("tf_efficientnet_b0", "googlenet", "densenet121", "condensenet74_c8_g8", "dpn68", "legacy_seresnet50"),
    *("seresnet50", "inception_v3", "xception", "nasnet_mobile", "swin_t", "alexnet", "vgg11_bn"),
)
METHODS = {
    "prune": Compression(prune=0.3),
    "tucker": Compression(budget=0.7, kernels="tucker"),
    "prune global": Compression(prune=0.3, everywhere=True, round_to=8),
    "spatial": Compression(budget=0.7, kernels="spatial"),
    "channel": Compression(budget=0.7, kernels="channel"),
}


def few(images: str) -> Path:
    """A folder of just the images that a net is settled on: on others an untrained net has nothing to agree about."""
    chosen = ImageFolder.open(images).select(IMAGES)
    folder = Path(tempfile.mkdtemp())
    for name in chosen.names:
        shutil.copy(Path(images) / name, folder)
    return folder


def measure(name: str, how: Compression, images: str, folder: Path) -> dict[str, Any]:
    """One cell: MACs before and after, and each target's end-to-end parity or why there is none."""
    spec = models.get(name)
    size = min(spec.input_shape[1], max(spec.min_input, SMALLEST))
    preprocess = reference_preprocess(spec, spec.num_classes).at(size, size)
    batches = list(ImageFolder.open(images).select(IMAGES).batches(preprocess, 8))
    fed = np.concatenate(batches)
    torch.manual_seed(0)
    started = time.process_time()
    try:
        shape = (1, *fed.shape[1:])
        done = compress(trace(settle(spec.build(), fed), shape), how, batches)
        spent = time.process_time() - started
        module = know_images(GraphModule(done.after), fed)
        before, after = (counts_of(graph, shape) for graph in (done.before, done.after))
        run = export(
            module,
            target=TARGETS,
            name=name,
            input_size=size,
            preprocess=preprocess,
            calibration=images,
            samples=IMAGES,
            out=folder,
        )
    except EdgekitError as refused:
        return {"size": size, "refused": str(refused)}
    found: dict[str, Any] = {"size": size, "cpu_s": round(spent, 1), "before": before.macs, "after": after.macs}
    for result in run.results:
        if result.refused is not None:
            found[result.target.name] = {"refused": str(result.refused)}
        elif result.artifact is not None:
            end = hop_document(result.artifact.parity.hops[-1])
            found[result.target.name] = {
                "passed": result.passed,
                "sqnr_db": end["sqnr_db"],
                "agreement": end["agreement"],
            }
    return found


def table(record: dict[str, dict[str, Any]]) -> str:
    """Rows of models, columns of methods: MACs, and how the two files fared."""
    lines = ["| model | " + " | ".join(METHODS) + " |", "|---|" + "---|" * len(METHODS)]
    for name in FAMILIES:
        cells = [cell(record.get(f"{name}/{method}")) for method in METHODS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not measured"
    if "refused" in found:
        return str(found["refused"])[:5]
    parts = [f"{100 * (found['after'] / found['before'] - 1):+.0f} %"]
    for target in TARGETS:
        result = found.get(target, {})
        failed = "" if result.get("passed") else "FAIL "
        parts.append(result["refused"][:5] if "refused" in result else f"{failed}{result['sqnr_db'] or 0:.0f} dB")
    return ", ".join(parts)


def write(record: dict[str, dict[str, Any]]) -> None:
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    if PAGE.is_file() and START in (page := PAGE.read_text()):
        head, rest = page.split(START)
        PAGE.write_text(head + START + table(record) + END + rest.split(END)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, help="folder or zip of photographs")
    parser.add_argument("models", nargs="*", help="measured again; none: all that the record lacks")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    images = str(few(chosen.images))
    record = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    for method, how in METHODS.items():
        for name in chosen.models or FAMILIES:
            key = f"{name}/{method}"
            if key in record and not chosen.models:
                continue
            with tempfile.TemporaryDirectory() as folder:
                record[key] = measure(name, how, images, Path(folder))
            write(record)
            print(f"{key}: {cell(record[key])}", flush=True)


if __name__ == "__main__":
    main()
