"""Reading the four layouts of labelled images into one list; which one a location is shows in what lies there."""

import csv
import io
import os
import re
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgekit.errors import EdgekitError, Table
from edgekit.files import is_folder, read_regular, status
from edgekit.images.folder import ImageFolder
from edgekit.images.labels import LABEL_SETS, read_labels
from edgekit.train.pictures import MOST_ROWS, Pictures

TRAIN, MEASURE = ("train", "training"), ("val", "valid", "validation", "test", "eval")
"""Names of the two halves of a data set, in folders and in the column `split` of a table."""

CIFAR_IMAGE = 1 + 3 * 32 * 32
"""Bytes of an image in CIFAR-10's binary batches: the label, then 32x32 red, green and blue values."""
CIFAR_TRAIN, CIFAR_TEST = re.compile(r"data_batch_\d+\.bin"), re.compile(r"test_batch\.bin")
LARGEST_TABLE = LARGEST_BATCH = 1 << 30  # bytes
COLUMNS = {
    "path": ("path", "file", "filename", "image"),
    "label": ("label", "class", "category"),
    "split": ("split", "set", "subset"),
}


def open_pictures(location: Path, labels: Path | None = None, *, measure: bool = False) -> Pictures:
    """The images of a location, all of them; where it holds a data set's two halves, the asked one.

    Args:
        labels: class names by line, where a table has numbers, or in another order than the folders'.
        measure: the half to measure on.

    Raises:
        EdgekitError: EK102 nothing there; EK108 no image; EK109 no classes, or labels that are out of range.
    """
    names = read_labels(labels).names if labels else None
    if location.suffix.lower() == ".csv":
        return _from_table(location, names)
    if is_folder(location, "the images"):
        halves = _halves(location)
        if halves and (half := halves.get(measure)):
            return _renamed(_from_folders(half), names)
        if batches := _cifar_batches(location, CIFAR_TEST if measure else CIFAR_TRAIN):
            return _from_cifar(location, batches, names)
        _refuse_pickles(location)
    return _renamed(_from_folders(location), names)


def own_half(location: Path) -> bool:
    """Whether a location says itself which of its images are to measure on."""
    if status(location, "the images") is None or not is_folder(location, "the images"):
        return False
    return True in (_halves(location) or {}) or bool(_cifar_batches(location, CIFAR_TEST))


def _halves(location: Path) -> dict[bool, Path]:
    """False -> the folder to train on, True -> the one to measure on; empty where there are not two such names."""
    inside = {entry.name.lower(): entry for entry in location.iterdir() if entry.is_dir()}
    train = next((inside[name] for name in TRAIN if name in inside), None)
    measure = next((inside[name] for name in MEASURE if name in inside), None)
    known = {*TRAIN, *MEASURE}
    others = [name for name in inside if name not in known and not name.startswith(".")]
    return {False: train, True: measure} if train and measure and not others else {}


def _from_folders(location: Path) -> Pictures:
    folder = ImageFolder.open(location)
    empty = _empty_folders(location, set(folder.classes))
    if empty:
        raise EdgekitError(
            "EK109",
            what=f"{len(empty)} class folders hold no image: {', '.join(empty[:MOST_ROWS])}",
            where=str(location),
            fix="put images there, or take the folder away",
        )
    labels = folder.labels() if len(folder.classes) > 1 else (0,) * len(folder)
    if not folder.classes:
        folder.labels()  # says what is missing
    return Pictures(location, folder.names, labels, tuple(name.rpartition("/")[2] for name in folder.classes))


def _empty_folders(location: Path, classes: set[str]) -> list[str]:
    """Folders beside those of the classes, without an image in them."""
    if location.is_dir():
        beside = {Path(name).parent.as_posix() for name in classes}
        found = [
            f"{parent}/{entry.name}" for parent in beside for entry in (location / parent).iterdir() if entry.is_dir()
        ]
        names = [name.removeprefix("./") for name in found]
    else:
        with zipfile.ZipFile(location) as archive:
            names = [entry.filename.rstrip("/") for entry in archive.infolist() if entry.is_dir()]
        parents = {name.rpartition("/")[0] for name in classes}
        names = [name for name in names if name.rpartition("/")[0] in parents]
    hidden = (".", "__MACOSX", "lost+found")
    return sorted(name for name in names if name not in classes and not name.rpartition("/")[2].startswith(hidden))


def _renamed(pictures: Pictures, names: Sequence[str] | None) -> Pictures:
    """The classes in the order of a file of labels, which must have the same names."""
    if names is None:
        return pictures
    if set(names) != set(pictures.classes) or len(set(names)) != len(names):
        differ = sorted(set(names) ^ set(pictures.classes))
        raise EdgekitError(
            "EK109",
            what=f"the labels are not the names of the class folders: {', '.join(differ[:MOST_ROWS])}",
            where=str(pictures.location),
            fix="leave --labels out: the folders' names are the classes",
        )
    place = [list(names).index(name) for name in pictures.classes]
    return replace(pictures, labels=tuple(place[label] for label in pictures.labels), classes=tuple(names))


def _from_table(location: Path, names: Sequence[str] | None) -> Pictures:
    """Rows of path and label, with the columns' names in the first line or in this order; paths are from its folder."""
    try:
        text = read_regular(location, LARGEST_TABLE, "the table").decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _bad_table(location, f"not a table of comma-separated values: {error}") from error
    columns = _columns(rows[0]) if rows else {}
    body = rows[1:] if columns else rows
    path, label, split = columns.get("path", 0), columns.get("label", 1), columns.get("split")
    short = [number for number, row in enumerate(rows, 1) if len(row) <= max(path, label, split or 0)]
    if not body or short:
        raise _bad_table(location, f"line {short[0]} has no label" if short else "it has no rows")
    texts = [row[label].strip() for row in body]
    classes = _classes(location, texts, names)
    index = {text: place for place, text in enumerate(classes)}
    numbered = all(text.lstrip("-").isdigit() for text in texts) and names is not None
    return Pictures(
        location,
        tuple(row[path].strip() for row in body),
        tuple(int(text) if numbered else index[text] for text in texts),
        classes,
        split=tuple(_half(row[split]) for row in body) if split is not None else (),
    )


def _columns(head: Sequence[str]) -> dict[str, int]:
    """Column -> its place, where the first line names path and label; empty where it is a row itself."""
    said = [cell.strip().lower() for cell in head]
    found = {
        column: next(said.index(name) for name in names if name in said)
        for column, names in COLUMNS.items()
        if any(name in said for name in names)
    }
    return found if {"path", "label"} <= found.keys() else {}


def _classes(location: Path, texts: Sequence[str], names: Sequence[str] | None) -> tuple[str, ...]:
    """Names by class index. Texts are names; numbers are indices of --labels where it is given.

    Raises:
        EdgekitError: EK109 an index or a name that the labels do not have; each row is told.
    """
    if names is None:
        numbers = all(text.isdigit() for text in texts)
        return tuple(sorted(set(texts), key=int) if numbers else sorted(set(texts)))
    numbered = all(text.lstrip("-").isdigit() for text in texts)
    known = {str(index) for index in range(len(names))} if numbered else set(names)
    wrong = [
        (str(row), text) for row, text in enumerate(texts, 1) if (str(int(text)) if numbered else text) not in known
    ]
    if wrong:
        limit = f"0 to {len(names) - 1}" if numbered else "a name of --labels"
        raise EdgekitError(
            "EK109",
            what=f"{len(wrong)} labels are out of range: they must be {limit}",
            where=str(location),
            fix="correct these rows, or name all classes in --labels",
            table=Table(("row", "label"), tuple(wrong[:MOST_ROWS])),
        )
    return tuple(names)


def _half(text: str) -> str:
    """A row's half of the data set: "val" for all names of what is measured on."""
    word = text.strip().lower()
    return "val" if word in MEASURE else "train"


def _bad_table(location: Path, what: str) -> EdgekitError:
    return EdgekitError(
        "EK109", what=what, where=str(location), fix="one line per image: path,label (and split: train or val)"
    )


def _cifar_batches(location: Path, which: re.Pattern[str]) -> list[Path]:
    return sorted(entry for entry in location.iterdir() if which.fullmatch(entry.name))


def _from_cifar(location: Path, batches: Sequence[Path], names: Sequence[str] | None) -> Pictures:
    """CIFAR-10's binary version. Source: the data set's page, "Binary version": 1 label byte and 3072 pixel bytes."""
    meta = location / "batches.meta.txt"
    classes = tuple(names or (read_labels(meta).names if meta.is_file() else LABEL_SETS["cifar10"]))
    parts, labels, told = [], [], []
    for batch in batches:
        data = read_regular(batch, LARGEST_BATCH, "the batch")
        if not data or len(data) % CIFAR_IMAGE:
            raise EdgekitError(
                "EK108",
                what=f"{len(data):,} bytes are no whole number of images of {CIFAR_IMAGE:,}",
                where=str(batch),
                fix="copy the file again: it is truncated, or no binary batch of CIFAR-10",
            )
        rows = np.frombuffer(data, np.uint8).reshape(-1, CIFAR_IMAGE)
        parts.append(rows[:, 1:].reshape(-1, 3, 32, 32))
        labels.append(rows[:, 0])
        told += [f"{batch.name}#{place}" for place in range(len(rows))]
    found = np.concatenate(labels)
    if len(wrong := np.flatnonzero(found >= len(classes))):
        raise EdgekitError(
            "EK109",
            what=f"{len(wrong)} labels are out of range: they must be 0 to {len(classes) - 1}",
            where=str(location),
            fix="copy the batches again; CIFAR-100 and other sets are read as class folders",
            table=Table(("image", "label"), tuple((told[i], str(found[i])) for i in wrong[:MOST_ROWS])),
        )
    return Pictures(location, tuple(told), tuple(map(int, found)), classes, np.concatenate(parts))


def _refuse_pickles(location: Path) -> None:
    """EK108 for CIFAR's version for Python: opening it would run what is in it."""
    if (location / "batches.meta").is_file() and os.path.isfile(location / "data_batch_1"):
        raise EdgekitError(
            "EK108",
            what="these are CIFAR's batches for Python, which are code when they are opened",
            where=str(location),
            fix="take the binary version: data_batch_1.bin to data_batch_5.bin",
        )
