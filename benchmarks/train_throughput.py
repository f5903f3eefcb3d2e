"""Where the time of a training goes, and how long the images take to load.

    python benchmarks/train_throughput.py --data cifar10/train.zip
    python benchmarks/train_throughput.py --data cifar10/train.zip mobilenet_v2 --input-size 96 --batches 40

Prints the seconds of wall and of CPU in which all images are decoded, and of some batches of each model the share of
wall time spent in forward, backward and step: the rest is waiting for pictures. The aim is 95 % and more, and 15 s at
most for CIFAR-10's 50,000 images.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from edgekit.registry import Preprocess, models
from edgekit.train.augment import Normalize, policy
from edgekit.train.config import make_config
from edgekit.train.feed import Feed
from edgekit.train.layouts import open_pictures
from edgekit.train.loop import Trainer
from edgekit.train.mix import Mix
from edgekit.train.pixels import Keeping, Pixels, decode
from edgekit.train.settle import settled
from edgekit.train.task import Classification
from edgekit.train.workers import ALONE

MODELS = ("mobilenet_v3_small", "mobilenet_v2", "resnet18")


def timed_decode(data: Path, size: int) -> tuple[Pixels, float, float]:
    """(the pixels, wall seconds, CPU seconds)."""
    wall, cpu = time.perf_counter(), time.process_time()
    pixels = decode(open_pictures(data), Preprocess(size, (size, size), labels=None), Keeping())
    return pixels, time.perf_counter() - wall, time.process_time() - cpu


def shares(name: str, pixels: Pixels, size: int, batch: int, batches: int, magnitude: float) -> tuple[float, float]:
    """(images per second, share of the time in forward, backward and step) of one epoch of so many batches."""
    few = replace(pixels, pixels=pixels.pixels[: batch * batches], labels=pixels.labels[: batch * batches])
    module = models.get(name).build(num_classes=len(pixels.classes))
    asked = make_config(model=name, data=Path("."), epochs=2, batch_size=batch)
    config = settled(asked, module, (size, size), 2 * batches)
    normalize = Normalize((0.5,) * 3, (0.25,) * 3)
    views = policy("full", (size, size), magnitude, 0.25)
    feed = Feed(few, normalize, views, Mix(0.2, 1.0), batch, 1, 0, ALONE, torch.device("cpu"))
    trainer = Trainer(module, Classification(), feed, config)
    trainer.advance()  # memory and kernels are found in the first one
    epoch = trainer.advance()
    return epoch.images / epoch.seconds, epoch.computing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--input-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--batches", type=int, default=20)
    options = parser.parse_args()
    console, size = Console(), options.input_size
    pixels, wall_s, cpu_s = timed_decode(options.data, size)
    console.print(f"{len(pixels):,} images kept at {pixels.side} px: {wall_s:.1f} s, {cpu_s:.1f} s of CPU")
    console.print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {torch.get_num_threads()} threads")
    table = Table("model", "px", "augmentation", "images/s", "computing")
    for name in options.models:
        for magnitude, told in ((0.0, "full, mixup, cutmix"), (9.0, "RandAugment 9, mixup, cutmix")):
            rate, share = shares(name, pixels, size, options.batch_size, options.batches, magnitude)
            table.add_row(name, str(size), told, f"{rate:.0f}", f"{share:.1%}")
    console.print(table)


if __name__ == "__main__":
    main()
