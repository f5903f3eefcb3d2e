"""Class names by index: the label sets that edgekit knows by name, and files of labels."""

import re
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import EdgekitError
from edgekit.files import read_regular

LABEL_SETS: dict[str, tuple[str, ...]] = {
    "cifar10": (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
}
"""Name -> class names. ImageNet's thousand names are the user's to bring, with --labels FILE."""

LARGEST_LABELS = 1 << 26  # bytes
WORDNET_ID = re.compile(r"n\d{8}")


@dataclass(frozen=True, slots=True)
class Labels:
    """A file of labels: line i is class i.

    Args:
        names: by class index.
        wordnet_ids: by class index ("n01440764"); empty where the file has none.
    """

    names: tuple[str, ...]
    wordnet_ids: tuple[str, ...] = ()


def label_names(label_set: str | None) -> tuple[str, ...]:
    """The names of a known label set; empty when its names are not shipped."""
    return LABEL_SETS.get(label_set or "", ())


def read_labels(path: Path) -> Labels:
    """Read one label per line: plain names, or synset lines like `n01440764 tench, Tinca tinca`.

    Errors:
        EK102 the file is missing; EK109 it is not text, is empty, or has an empty line between labels.
    """
    try:
        text = read_regular(path, LARGEST_LABELS, "the labels").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EdgekitError(
            "EK109", what="the labels are not a text file", where=str(path), fix="one class name per line, UTF-8"
        ) from error
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if not lines or "" in lines:
        line = lines.index("") + 1 if lines else 1
        raise EdgekitError(
            "EK109", what=f"line {line} is empty", where=str(path), fix="one class name per line: line i is class i"
        )
    if all(WORDNET_ID.match(line) for line in lines):
        pairs = [line.partition(" ") for line in lines]
        return Labels(tuple(rest.strip() or wnid for wnid, _, rest in pairs), tuple(wnid for wnid, _, _ in pairs))
    return Labels(tuple(lines))
