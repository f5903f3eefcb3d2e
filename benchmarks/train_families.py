"""Every family of the zoo trains, stops, resumes and is exported by its run folder: one line each, the smallest member.

    python benchmarks/train_families.py --data cifar10/train.zip --eval cifar10/test.zip --out /tmp/families
    python benchmarks/train_families.py ... vgg squeezenet        # some of them

Each run is killed (SIGKILL) in its second epoch and goes on with --resume; its folder is exported to tflite-int8.
Results go to OUT/families.jsonl; families that stand there are not run again. CPU seconds are of all its processes.
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from process import timed
from rich.console import Console
from rich.table import Table

from edgekit.registry import ModelSpec, models

IMAGES, MEASURED, SIZE, EPOCHS, BATCH = 2000, 500, 64, 3, 64
SLOWEST_S = 3 * 3600


def smallest() -> dict[str, ModelSpec]:
    """Family, which is a file of models/, -> its member with the fewest multiplications."""
    families: dict[str, list[ModelSpec]] = defaultdict(list)
    for spec in models:
        families[spec.build.__module__.rpartition(".")[2]].append(spec)
    found = {name: min(members, key=lambda spec: spec.macs) for name, members in families.items()}
    return dict(sorted(found.items()))


def subset(archive: Path, count: int, place: Path) -> Path:
    """The first images of each class, `count` in all."""
    if not place.exists():
        with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(place, "w") as part:
            by_class: dict[str, list[str]] = defaultdict(list)
            for name in sorted(entry for entry in whole.namelist() if not entry.endswith("/")):
                by_class[name.rpartition("/")[0]].append(name)
            for names in by_class.values():
                for name in names[: count // len(by_class)]:
                    part.writestr(name, whole.read(name))
    return place


def killed_after_first_epoch(command: list[str], run: Path) -> float:
    """Start a run and kill it once its first epoch is on the disk; returns the CPU seconds that it took."""
    started = time.monotonic()
    before = os.times()
    with subprocess.Popen([sys.executable, "-m", "edgekit", *command], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and time.monotonic() - started < SLOWEST_S:
            if (run / "metrics.csv").exists():
                time.sleep(2)  # into the second epoch
                process.send_signal(signal.SIGKILL)
                process.wait()
        if process.returncode not in (-signal.SIGKILL, 0):
            raise SystemExit(f"{' '.join(command)}: {process.stderr.read() if process.stderr else ''}")
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def run_family(spec: ModelSpec, learned: Path, measured: Path, out: Path) -> dict[str, Any]:
    """Train, kill, resume, export."""
    run, size = out / spec.name, max(SIZE, spec.min_input)
    command = ["train", spec.name, "--data", str(learned), "--eval", str(measured), "--out", str(run)]
    command += ["--epochs", str(EPOCHS), "--input-size", str(size), "--batch-size", str(BATCH)]
    first_s = 0.0 if run.exists() else killed_after_first_epoch(command, run)
    resumed_s, _, _ = timed(["train", str(run), "--resume", "--quiet", "--json"])
    exported_s, _, printed = timed(
        ["export", str(run), "--target", "tflite-int8", "--out", str(out / "build"), "--quiet", "--json"], (0, 1)
    )
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    (target,) = json.loads(printed)["targets"]
    failed = [
        f"{hop['name']}: {o['gate']}"
        for hop in target.get("parity", {}).get("hops", [])
        for o in hop["outputs"]
        if not o["passed"]
    ]
    return {
        "model": spec.name,
        "size": size,
        "losses": [round(float(row["loss"]), 4) for row in rows],
        "top1": [float(row["top1"]) for row in rows],
        "train_cpu_s": round(first_s + resumed_s, 1),
        "export_cpu_s": round(exported_s, 1),
        "bytes": target.get("size_bytes"),
        "exported": target["bundle"] is not None,
        "gate": str(target["error"])[:300] if target["error"] else "; ".join(failed[:1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*")
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--eval", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / "families.jsonl"
    learned = subset(options.data, IMAGES, options.out / "train.zip")
    measured = subset(options.eval, MEASURED, options.out / "test.zip")
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    wanted = {name: spec for name, spec in smallest().items() if not options.families or name in options.families}
    order = sorted(wanted.items(), key=lambda pair: pair[1].macs)
    for name, spec in order:
        if name not in {row["family"] for row in done}:
            try:
                row = {"family": name, **run_family(spec, learned, measured, options.out)}
            except SystemExit as error:
                row = {"family": name, "model": spec.name, "error": str(error)[:500]}
            done.append(row)
            with log.open("a") as file:
                file.write(json.dumps(row) + "\n")
    table = Table("family", "model", "px", "loss", "top-1", "train CPU s", "int8 kB", "exported")
    for row in done:
        if "error" in row:
            table.add_row(row["family"], row["model"], "", row["error"])
            continue
        loss, top1 = (" ".join(f"{value:.2f}" for value in row[key]) for key in ("losses", "top1"))
        size = f"{(row['bytes'] or 0) / 1000:.0f}"
        cells = (str(row["size"]), loss, top1, f"{row['train_cpu_s']:.0f}", size, row["gate"] or str(row["exported"]))
        table.add_row(row["family"], row["model"], *cells)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
