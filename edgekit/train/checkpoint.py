"""The state of a run after an epoch, written so that an interruption never leaves half a file."""

import os
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgekit.errors import EdgekitError
from edgekit.train.config import TrainConfig

FILE = "checkpoint.pt"
# May differ between the run that wrote a checkpoint and the one that goes on from it.
FREE = {"data", "evaluation", "out", "resume", "epochs", "finish_epochs", "finish_size", "finish_rate", "finish_ema"}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run after `epoch` epochs. Random numbers need no state: each epoch seeds its own from (seed, epoch)."""

    epoch: int
    config: dict[str, str]
    model: dict[str, Tensor]
    averaged: dict[str, Tensor]
    optimizer: dict[str, Any]


def comparable(config: TrainConfig) -> dict[str, str]:
    """What must be equal for a checkpoint to fit `config`."""
    return {key: str(value) for key, value in asdict(config).items() if key not in FREE}


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write beside, then rename."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = {name: getattr(checkpoint, name) for name in Checkpoint.__slots__}
    torch.save(fields, folder / f"{FILE}.part")
    os.replace(folder / f"{FILE}.part", folder / FILE)


def load(folder: Path, config: TrainConfig) -> Checkpoint | None:
    """The checkpoint in `folder`, or None where there is none.

    Raises:
        EdgekitError: EK102 it is truncated or something else; EK106 it belongs to another recipe.
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
    changed = [key for key, value in comparable(config).items() if checkpoint.config.get(key) != value]
    if changed:
        raise EdgekitError(
            "EK106",
            what=f"the checkpoint was made with another {', '.join(changed)}",
            where=str(path),
            fix="give the same options, or another --out",
        )
    return checkpoint
