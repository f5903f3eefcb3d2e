"""The state of a run after an epoch, written so that an interruption never leaves half a file."""

import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgekit.errors import EdgekitError
from edgekit.train.config import unusable

FILE = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run after `epoch` epochs. Random numbers need no state: each epoch seeds its own from (seed, epoch).

    Args:
        choices: what must be the same for a run to go on, by name; the images' fingerprint is among them.
        rows: of metrics.csv.
        classes, feed: what the weights are for: class names by index, and the preprocessing.
    """

    epoch: int
    choices: dict[str, str]
    model: dict[str, Tensor] = field(repr=False)
    averaged: dict[str, Tensor] = field(repr=False)
    optimizer: dict[str, Any] = field(repr=False)
    rows: list[dict[str, Any]] = field(repr=False)
    classes: list[str]
    feed: dict[str, Any]


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write beside, see it on the disk, then rename.

    Raises:
        EdgekitError: EK702 it cannot be written; the checkpoint of the epoch before is whole.
    """
    fields = {name: getattr(checkpoint, name) for name in Checkpoint.__slots__}
    part = folder / f"{FILE}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            torch.save(fields, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, folder / FILE)
    except (OSError, RuntimeError) as error:  # torch's own writer has a RuntimeError for a full disk
        part.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise EdgekitError(
            "EK702",
            what=f"the checkpoint of epoch {checkpoint.epoch} cannot be written: {reason}",
            where=str(folder),
            fix=f"free some space, then go on after epoch {checkpoint.epoch - 1}: edgekit train {folder} --resume",
        ) from error


def load(folder: Path, choices: dict[str, str]) -> Checkpoint | None:
    """The checkpoint in `folder`, or None where there is none.

    Raises:
        EdgekitError: EK102 it is truncated or something else; EK106 it belongs to another run, with what differs.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        checkpoint = Checkpoint(**torch.load(path, weights_only=True))
    except (OSError, EOFError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
        raise EdgekitError(
            "EK102",
            what="the checkpoint cannot be read: it is truncated, or not one of edgekit train",
            where=str(path),
            fix="move it away to start again, or give another --out",
        ) from error
    changed = [key for key in choices if checkpoint.choices.get(key) != choices[key]]
    if changed:
        told = ", ".join(f"{key} ({checkpoint.choices.get(key)}, now {choices[key]})" for key in changed[:3])
        raise unusable(
            f"the checkpoint is of another run: it has another {told}",
            str(path),
            "give the same options and images, or another --out",
        )
    return checkpoint
