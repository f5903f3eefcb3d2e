"""Every zoo model at its full size to four targets: one table.

    python benchmarks/zoo.py --images DIR                    all models that the record lacks
    python benchmarks/zoo.py --images DIR resnet18 swin_t    these, again

Writes models/measured.json after every model, so that it can be stopped and goes on, and docs/zoo.md from it.
"""

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from latency import Candidate, median_ms
from machine import machine
from process import timed
from rich.console import Console
from safetensors.torch import save_file
from settled import settle
from zoo_table import FP32, INT8, failed_targets, zoo_markdown

from edgekit.images.folder import ImageFolder
from edgekit.registry import ModelSpec, models
from edgekit.report.zoo import RECORD, Measured
from edgekit.source.zoo import reference_preprocess

ROOT = Path(__file__).resolve().parent.parent
TARGETS = (FP32, INT8, "ort-fp32", "ort-int8")
TIMED = (FP32, INT8)
GATE_FAILED = 1
COSTLY_MACS = 5_000_000_000
IMAGES = 16
"""Images to settle, calibrate and compare on: with fewer than seven, one that differs fails the gate of agreement."""


def settled_checkpoint(spec: ModelSpec, images: str, file: Path) -> None:
    """Settle the model on the images that its export will be calibrated on, and save it."""
    preprocess = reference_preprocess(spec, spec.num_classes)
    folder = ImageFolder.open(images).select(IMAGES)
    torch.manual_seed(0)
    module = settle(spec.build(), np.concatenate(list(folder.batches(preprocess, 8))))
    save_file({key: value.contiguous() for key, value in module.state_dict().items()}, file)


def measure(spec: ModelSpec, images: str, folder: Path) -> dict[str, Any]:
    """One model's document in the record."""
    checkpoint = folder / "settled.safetensors"
    settled_checkpoint(spec, images, checkpoint)
    arguments = ["export", spec.name, "--weights", str(checkpoint), "--calibration", images, "--out", str(folder)]
    arguments += ["--samples", str(IMAGES), "--json", "--quiet"]
    arguments += [word for target in TARGETS for word in ("--target", target)]
    cpu_s, peak_mb, output = timed(arguments, accepted=(0, GATE_FAILED))
    document = json.loads(output)
    found = {target["target"]: described(target) for target in document["targets"]}
    bundles = {
        t["target"]: Path(t["bundle"]) for t in document["targets"] if t["bundle"] and t["target"] in (FP32, INT8)
    }
    for target, ms in latencies(bundles, spec).items():
        found[target]["ms"] = round(ms, 3)
    _, height, width = spec.input_shape
    measured = {"input": f"{height}x{width}", "images": IMAGES, "machine": machine()}
    return {**measured, "cpu_s": round(cpu_s, 1), "peak_mb": round(peak_mb), "targets": found}


def described(target: dict[str, Any]) -> dict[str, Any]:
    """What the record keeps of one target."""
    hops = target["parity"]["hops"]
    delegation = target["delegation"] or {"partitions": None, "undelegated": []}
    reasons = Counter((node["operator"], node["reason"]) for node in delegation["undelegated"])
    return {
        "passed": all(hop["passed"] for hop in hops),
        "size_bytes": target["size_bytes"],
        "operators": sum(target["operators"].values()),
        "transposes": target["operators"].get("TRANSPOSE", 0),
        "partitions": delegation["partitions"],
        "undelegated": [[*reason, count] for reason, count in reasons.items()],
        "sqnr_db": hops[-1]["sqnr_db"] and round(hops[-1]["sqnr_db"], 1),
        "agreement": hops[-1]["agreement"],
        "ms": None,
    }


def latencies(bundles: dict[str, Path], spec: ModelSpec) -> dict[str, float]:
    """CPU milliseconds of each bundle's file, in turn; fewer rounds for the large."""
    rounds, repeats = (15, 5) if spec.macs < COSTLY_MACS else (5, 1)
    files = {target: Candidate((folder / "model.tflite").read_bytes(), ".tflite") for target, folder in bundles.items()}
    return median_ms(files, rounds, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="all that the record lacks, when none is named")
    parser.add_argument("--images", required=True)
    options = parser.parse_args()
    record, console = ROOT / "models" / RECORD, Console()
    known = json.loads(record.read_text())["models"] if record.exists() else {}
    for name in options.models or [name for name in models.names() if name not in known]:
        with tempfile.TemporaryDirectory() as folder:
            known[name] = measure(models.get(name), options.images, Path(folder))
        measured = Measured({key: known[key] for key in sorted(known)})
        record.write_text(json.dumps({"models": measured.models}, indent=1) + "\n")
        (ROOT / "docs" / "zoo.md").write_text(zoo_markdown(measured, models.names()))
        console.print(name, f"{known[name]['cpu_s']} CPU s", "failed:", failed_targets(known[name]) or "none")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
