"""Pictures decoded once, as bytes: in memory where they fit, else in a file that the system pages in and out."""

import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgekit.errors import EdgekitError, Table
from edgekit.images.folder import UNREADABLE
from edgekit.images.preprocess import center_crop, resize, to_mode
from edgekit.progress import Step
from edgekit.registry import Preprocess
from edgekit.train.augment import kept_side
from edgekit.train.pictures import MOST_ROWS, Opener, Pictures

CHUNK = 64  # pictures that a thread decodes in one go
PROBED = 64  # pictures whose size is looked at
GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Pixels:
    """Decoded pictures with a class each.

    Args:
        pixels: u8[N, C, side, side], in the order of channels that the model takes.
        labels: i64[N], index into `classes`.
        unreadable: (name, why) of the pictures that were left out.
    """

    pixels: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)
    classes: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def side(self) -> int:
        """Height and width in pixels."""
        return int(self.pixels.shape[-1])


@dataclass(frozen=True, slots=True)
class Keeping:
    """How pictures are kept.

    Args:
        memory_gb: more than this goes into a file without a name, in `folder`.
        max_corrupt: share of the pictures that may be unreadable.
    """

    memory_gb: float = 4.0
    max_corrupt: float = 0.01
    folder: Path = Path()


def decode(
    pictures: Pictures, feed: Preprocess, keeping: Keeping, progress: Step | None = None, *, exact: bool = False
) -> Pixels:
    """Decode every picture: the shorter side resized to `feed.resize`, the centre square cut, as evaluation sees it.

    Args:
        exact: keep pictures that are smaller than that enlarged, as Pillow does it, to measure on them; for training
            they are kept at their own size, since enlarging adds nothing and views are resampled anyway.

    Raises:
        EdgekitError: EK108 more unreadable pictures than `keeping` allows, each named; EK702 no room for the pixels.
    """
    whole = kept_side(feed)
    side = whole if exact else min(whole, largest_side(pictures) or whole)
    square = replace(feed, resize=side if side < whole else feed.resize, crop=(side, side))
    array = _room((len(pictures), len(feed.mean), side, side), keeping)
    with pictures.opener() as opened:
        bad = _fill(array, pictures, _decoder(opened, square), progress)
    _refuse_too_many(pictures, bad, keeping.max_corrupt)
    good = [index for index in range(len(pictures)) if index not in bad]
    if bad:
        for place, index in enumerate(good):  # in place: a copy may have no room
            array[place] = array[index]
    labels = torch.tensor([pictures.labels[index] for index in good])
    named = tuple((pictures.names[index], bad[index]) for index in sorted(bad))
    return Pixels(torch.from_numpy(array[: len(good)]), labels, pictures.classes, named)


def statistics(pixels: Pixels, most: int = 5000) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, deviation) per channel in units of [0, 1], to four places, over at most so many pictures evenly spread."""
    chosen = pixels.pixels[:: max(1, len(pixels) // most)].double().div_(255)
    mean, deviation = chosen.mean((0, 2, 3)), chosen.std((0, 2, 3), correction=0).clamp(min=1e-2)
    return tuple(round(float(m), 4) for m in mean), tuple(round(float(d), 4) for d in deviation)


def largest_side(pictures: Pictures) -> int:
    """The largest shorter side in pixels among a few pictures, evenly spread; 0 where none can be read."""
    largest = 0
    with pictures.opener() as opened:
        for index in range(0, len(pictures), max(1, len(pictures) // PROBED)):
            try:
                with opened(index) as image:
                    largest = max(largest, min(image.size))
            except (*UNREADABLE, RuntimeError, EdgekitError):
                continue  # it is told when all are decoded
    return largest


def _decoder(opened: Opener, feed: Preprocess) -> Callable[[int], NDArray[np.uint8]]:
    """Index of a picture -> u8[C, side, side], in the model's order of channels."""

    def decoded(index: int) -> NDArray[np.uint8]:
        with opened(index) as image:
            pixels = np.asarray(center_crop(resize(to_mode(image, feed), feed), feed.crop))
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return planes[::-1] if feed.channel_order == "BGR" else planes

    return decoded


def _fill(
    array: NDArray[np.uint8],
    pictures: Pictures,
    decoded: Callable[[int], NDArray[np.uint8]],
    progress: Step | None,
) -> dict[int, str]:
    """Decode into the rows of an array, a few threads at once; returns which could not be read, and why."""
    bad: dict[int, str] = {}

    def work(start: int) -> int:
        stop = min(start + CHUNK, len(pictures))
        for index in range(start, stop):
            try:
                array[index] = decoded(index)
            except (*UNREADABLE, RuntimeError, EdgekitError) as error:
                bad[index] = _reason(error)
        return stop - start

    done = 0
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for count in pool.map(work, range(0, len(pictures), CHUNK)):
            done += count
            if progress is not None:
                progress(done, len(pictures))
    return bad


def _reason(error: Exception) -> str:
    text = error.what if isinstance(error, EdgekitError) else str(error) or type(error).__name__
    return "not an image" if "cannot identify image" in text else text.splitlines()[0]


def _refuse_too_many(pictures: Pictures, bad: dict[int, str], limit: float) -> None:
    if len(bad) > limit * len(pictures):
        rows = tuple((pictures.names[index], bad[index]) for index in sorted(bad)[:MOST_ROWS])
        raise EdgekitError(
            "EK108",
            what=f"{len(bad):,} of {len(pictures):,} images cannot be read, more than {limit:.3g} of them",
            where=str(pictures.location),
            fix="replace these files, take them out, or allow more with --max-corrupt SHARE",
            table=Table(("image", "why"), rows),
        )


def _room(shape: tuple[int, ...], keeping: Keeping) -> NDArray[np.uint8]:
    """An array of that shape, in memory or in a file that has no name any more: it goes with the process."""
    size_bytes = int(np.prod(shape, dtype=np.int64))
    if size_bytes <= keeping.memory_gb * GIGABYTE:
        return np.empty(shape, np.uint8)
    keeping.folder.mkdir(parents=True, exist_ok=True)
    if size_bytes > shutil.disk_usage(keeping.folder).free:
        raise EdgekitError(
            "EK702",
            what=f"the decoded images take {size_bytes / GIGABYTE:.1f} GB, more than there is room for",
            where=str(keeping.folder),
            fix="choose a smaller --input-size, another --out, or more memory with --memory-gb",
        )
    with tempfile.TemporaryFile(dir=keeping.folder) as file:
        os.posix_fallocate(file.fileno(), 0, size_bytes)  # a disk that fills up later would end the process unheard
        return np.memmap(file, np.uint8, "r+", shape=shape)
