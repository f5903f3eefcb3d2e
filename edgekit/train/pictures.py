"""Labelled images where they lie: class folders, a .zip of them, a .csv of paths, or CIFAR-10's binary batches."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgekit.errors import EdgekitError, Table
from edgekit.images.folder import ImageFolder

MOST_ROWS = 8

Opener = Callable[[int], Image.Image]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Images with a class each.

    Args:
        location: the folder, archive or table.
        names: of the images, as the location has them; of CIFAR's, for messages alone.
        labels: class index of each.
        classes: names by class index.
        raw: u8[N, 3, 32, 32], RGB, where the images are pixels already.
        split: "train", "val" or "" for each, where the table says so.
    """

    location: Path
    names: tuple[str, ...] = field(repr=False)
    labels: tuple[int, ...] = field(repr=False)
    classes: tuple[str, ...]
    raw: NDArray[np.uint8] | None = field(default=None, repr=False)
    split: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.names)

    @contextmanager
    def opener(self) -> Iterator["Opener"]:
        """What opens the image of an index, from any thread."""
        if self.raw is not None:
            raw = self.raw
            yield lambda index: Image.fromarray(raw[index].transpose(1, 2, 0))
            return
        folder = self.location.parent if self.location.suffix.lower() == ".csv" else self.location
        with ImageFolder(folder, self.names).reader() as read:
            yield lambda index: Image.open(BytesIO(read(self.names[index])))

    def only(self, chosen: Iterable[int]) -> "Pictures":
        """Some of the images, in the order given."""
        index = list(chosen)
        return replace(
            self,
            names=tuple(self.names[i] for i in index),
            labels=tuple(self.labels[i] for i in index),
            raw=None if self.raw is None else self.raw[index],
            split=tuple(self.split[i] for i in index) if self.split else (),
        )

    def fingerprint(self) -> str:
        """SHA-256 over names, labels and classes: what tells one run's images from another's."""
        digest = hashlib.sha256("\0".join(self.classes).encode())
        for name, label in zip(self.names, self.labels, strict=True):
            digest.update(f"\0{name}\0{label}".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def counts(self) -> NDArray[np.int64]:
        """i64[classes]: images of each class."""
        return np.bincount(np.array(self.labels, np.int64), minlength=len(self.classes))


def split_by_seed(pictures: Pictures, share: float, seed: int) -> tuple[Pictures, Pictures | None]:
    """(to train on, to measure on): a random `share` of each class, at least one image of those that have two.

    The same seed chooses the same images. None where the share is 0 or no class can spare an image.
    """
    labels = np.array(pictures.labels)
    kept: list[int] = []
    for label in range(len(pictures.classes)):
        members = np.flatnonzero(labels == label)
        count = max(round(share * len(members)), 1) if share > 0 and len(members) > 1 else 0
        kept += np.random.default_rng([seed, label]).permutation(members)[:count].tolist()
    if not kept:
        return pictures, None
    chosen = set(kept)
    return pictures.only(i for i in range(len(labels)) if i not in chosen), pictures.only(sorted(chosen))


def check_classes(pictures: Pictures) -> None:
    """EK109 where there are fewer than two classes, or one of them has no image."""
    if len(pictures.classes) < 2:
        raise EdgekitError(
            "EK109",
            what=f"there is one class ({', '.join(pictures.classes) or 'none'}), a classifier needs two",
            where=str(pictures.location),
            fix="one folder per class, side by side; images of no class in particular are a class too",
        )
    empty = [name for name, count in zip(pictures.classes, pictures.counts(), strict=True) if not count]
    if empty:
        raise EdgekitError(
            "EK109",
            what=f"{len(empty)} of {len(pictures.classes)} classes have no image: {', '.join(empty[:MOST_ROWS])}",
            where=str(pictures.location),
            fix="put images there, or take the class out",
        )


def with_classes(pictures: Pictures, classes: tuple[str, ...], of: Path) -> Pictures:
    """Images to measure on, numbered as the training classes are; a class without images to measure on is allowed.

    Raises:
        EdgekitError: EK109 a class that the training images do not have, with all that differ.
    """
    unknown = [name for name in pictures.classes if name not in classes]
    if unknown:
        missing = [name for name in classes if name not in pictures.classes]
        rows = [(name, "there alone") for name in unknown[:MOST_ROWS]]
        rows += [(name, "in the training images alone") for name in missing[:MOST_ROWS]]
        raise EdgekitError(
            "EK109",
            what=f"{len(unknown)} of its {len(pictures.classes)} classes are not those of the training images",
            where=str(pictures.location),
            fix=f"the same class names as in {of}: {', '.join(classes[:MOST_ROWS])}",
            table=Table(("class", "is"), tuple(rows)),
        )
    place = [classes.index(name) for name in pictures.classes]
    return replace(pictures, labels=tuple(place[label] for label in pictures.labels), classes=classes)
