"""What a finished run leaves beside its checkpoint: weights, class names, pictures to calibrate on, card, recipe."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from edgekit import __version__
from edgekit.bundle.archive import archive
from edgekit.registry import Preprocess
from edgekit.source.run_folder import CALIBRATION, EXPORT, LABELS, WEIGHTS
from edgekit.train.pictures import Pictures
from edgekit.train.pixels import Keeping, decode
from edgekit.train.run_folder import CARD, FINISHED, write_files

CALIBRATION_IMAGES = 100


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run came to.

    Args:
        folder: of the run, which `edgekit export` takes as a model.
        sha256: of the weights.
        top1: the task's figure on the images to measure on, with the weights as stored; None: there are none.
    """

    folder: Path
    sha256: str
    top1: float | None


def as_stored(module: nn.Module, half: bool) -> nn.Module:
    """A float32 copy on the CPU whose values are those that the file will have: what is measured is what is shipped."""
    stored = copy.deepcopy(module).cpu().eval()
    return stored.half().float() if half else stored


def write_results(
    folder: Path,
    module: nn.Module,
    half: bool,
    classes: tuple[str, ...],
    pictures: NDArray[np.uint8],
    export: bytes,
    card: Mapping[str, str],
    title: str,
) -> str:
    """Write all results or none; returns the SHA-256 of the weights.

    Args:
        pictures: u8[n, H, W, C], RGB.
        card: rows of the card; those of the file are added.
    """
    data = save(_tensors(module, half), metadata={"format": "pt"})  # one entry: several are written in a random order
    digest = hashlib.sha256(data).hexdigest()
    rows = {
        **card,
        "file": f"{WEIGHTS}, {'float16' if half else 'float32'}, {len(data):,} bytes",
        "sha256": f"`{digest}`",
        "made with": f"edgekit {__version__}, torch {torch.__version__}",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    contents = {
        WEIGHTS: data,
        LABELS: "".join(f"{name}\n" for name in classes).encode(errors="surrogateescape"),
        CALIBRATION: archive({"pixels": pictures}),
        CARD: f"# {title}, trained by edgekit\n\n| | |\n|---|---|\n{table}\n".encode(errors="replace"),
        EXPORT: export,
    }
    write_files(folder, contents, FINISHED)
    return digest


def calibration_pictures(pictures: Pictures, feed: Preprocess) -> NDArray[np.uint8]:
    """u8[n, H, W, C], RGB: training pictures spread evenly over the classes, exactly as an export feeds them."""
    count = min(CALIBRATION_IMAGES, len(pictures))
    by_class = sorted(range(len(pictures)), key=lambda index: pictures.labels[index])
    chosen = pictures.only(by_class[place * len(by_class) // count] for place in range(count))
    pixels = decode(chosen, feed, Keeping(max_corrupt=1.0), exact=True).pixels.numpy()
    height, width = feed.crop
    top, left = (round((pixels.shape[-1] - wanted) / 2) for wanted in (height, width))
    cut = pixels[:, :: -1 if feed.channel_order == "BGR" else 1, top : top + height, left : left + width]
    return np.ascontiguousarray(cut.transpose(0, 2, 3, 1))


def _tensors(module: nn.Module, half: bool) -> dict[str, Tensor]:
    """The state for safetensors, which takes neither shared nor strided tensors."""
    return {
        name: (value.half() if half and value.is_floating_point() else value)
        .detach()
        .cpu()
        .clone(memory_format=torch.contiguous_format)
        for name, value in module.state_dict().items()
        if isinstance(value, Tensor)
    }
