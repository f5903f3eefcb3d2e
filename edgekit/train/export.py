"""What a finished run leaves: float16 weights, calibration images distilled from them, a card, a recipe to export."""

import contextlib
import copy
import hashlib
import json
import os
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from edgekit import __version__
from edgekit.bundle.archive import archive
from edgekit.errors import EdgekitError
from edgekit.quant.distill import distill, to_pixels
from edgekit.train.augment import Augment
from edgekit.train.config import TrainConfig, TrainResult
from edgekit.train.data import LabelledImages

CALIBRATION_IMAGES = 100
ALWAYS_SAID = ("epochs", "input_size", "seed")
"""Options of the card's command line even where they are the default."""


def round_to_float16(model: nn.Module) -> nn.Module:
    """A float32 copy whose values survive storage as float16: what is measured is what is shipped."""
    return copy.deepcopy(model).half().float()


def write(
    config: TrainConfig,
    model: nn.Module,
    images: LabelledImages,
    evaluation: LabelledImages | None,
    top1: float | None,
) -> TrainResult:
    """Write into `config.out`, all of them or none: MODEL.safetensors, .calibration.npz, .md, .labels.txt and .toml."""
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }
    data = save(tensors, metadata={"format": "pt"})  # one entry: several are written in a random order
    digest = hashlib.sha256(data).hexdigest()
    weights, card, calibration, labels, recipe = (
        config.out / f"{config.model}.{suffix}"
        for suffix in ("safetensors", "md", "calibration.npz", "labels.txt", "toml")
    )
    contents = {
        calibration: archive({"pixels": calibration_pixels(config, model)}),
        card: _card(config, images, evaluation, top1, digest, len(data)).encode(),
        labels: "".join(f"{name}\n" for name in images.classes).encode(),
        recipe: export_recipe(config, weights, labels, len(images.classes)).encode(),
        weights: data,  # last: where there are weights, there is a card
    }
    _replace(contents)
    return TrainResult(weights, card, recipe, digest, top1)


def calibration_pixels(config: TrainConfig, model: nn.Module) -> NDArray[np.uint8]:
    """u8[100, H, W, 3], RGB: what quantization is calibrated on where no real images are given."""
    shape = (1, 3, config.final_size, config.final_size)
    images = distill(model.eval(), shape, config.preprocess, CALIBRATION_IMAGES, config.seed)
    return to_pixels(images, config.preprocess).transpose(0, 2, 3, 1)


def export_recipe(config: TrainConfig, weights: Path, labels: Path, classes: int) -> str:
    """TOML for `edgekit export --recipe`: a file of weights does not say what it must be fed."""
    preprocess = config.preprocess
    values = {"model": config.model, "weights": weights.name, "labels": labels.name, "num_classes": classes}
    chosen = {name: getattr(preprocess, name) for name in ("resize", "crop", "interpolation", "mean", "std")}
    lines = [*_toml(values), "", "[preprocess]", *_toml(chosen)]
    return "\n".join(lines) + "\n"


def _toml(values: dict[str, Any]) -> list[str]:
    """Texts, numbers and lists of them, which TOML writes as JSON does."""
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]


def _replace(contents: dict[Path, bytes]) -> None:
    """Write all files beside their places before any of them is renamed into it; EK702 where that fails."""
    parts = {path: path.with_name(path.name + ".part") for path in contents}
    try:
        for path, part in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(contents[path])
        for path, part in parts.items():
            os.replace(part, path)
    except OSError as error:
        raise EdgekitError(
            "EK702",
            what=f"cannot write: {error.strerror}",
            where=str(error.filename or error),
            fix="free some space, or give another --out",
        ) from error
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):  # renamed, never written, or a folder that was in the way
                part.unlink()


def command(config: TrainConfig) -> str:
    """The command line that repeats the run (file names without their folders)."""
    words = ["edgekit", "train", config.model, "--data", config.data.name]
    if config.evaluation:
        words += ["--eval", config.evaluation.name]
    default = TrainConfig(config.model, config.data)
    for option in (
        "epochs",
        "finish_epochs",
        "finish_size",
        "batch_size",
        "input_size",
        "start_size",
        "stored_size",
        "learning_rate",
        "seed",
    ):
        value = getattr(config, option)
        if option in ALWAYS_SAID or value != getattr(default, option):
            words += [f"--{option.replace('_', '-')}", f"{value:g}"]
    return shlex.join(words)


def _card(
    config: TrainConfig,
    images: LabelledImages,
    evaluation: LabelledImages | None,
    top1: float | None,
    digest: str,
    size_bytes: int,
) -> str:
    augment = Augment()
    measured = f"{top1:.2f} % of {len(evaluation):,} images" if evaluation and top1 is not None else "not measured"
    rows = {
        "classes": ", ".join(images.classes),
        "training images": f"{len(images):,} ({config.data.name}), kept at {config.stored_size}x{config.stored_size}",
        "input": f"RGB {config.final_size}x{config.final_size}, mean {config.mean}, std {config.std}",
        "top-1": measured,
        "file": f"{config.model}.safetensors, float16, {size_bytes:,} bytes",
        "sha256": f"`{digest}`",
        "seed": str(config.seed),
        "made with": f"edgekit {__version__}, torch {torch.__version__}",
        "command": f"`{command(config)}`",
        "optimiser": f"AdamW, weight decay {config.weight_decay:g} (none on biases, norms and depthwise filters)",
        "learning rate": f"{config.learning_rate:g}, batch {config.batch_size}: rises {config.warmup_epochs} epochs, "
        f"holds, falls linearly to 0 over the last {config.decay_epochs} of {config.epochs}",
        "finish": f"{config.finish_epochs} epochs more at {config.final_size}, rate {config.finish_rate:g} to 0",
        "input size": f"{config.start_size} for {config.start_epochs} epochs, then {config.input_size}",
        "loss": f"cross entropy, label smoothing {config.smoothing:g}",
        "augmentation": f"flip; shift {augment.shift:g}; rotation {augment.rotation:g} degrees, zoom {augment.zoom:g}, "
        f"shear {augment.shear:g} on {augment.warped:.0%}; colour {augment.colour:g} on {augment.coloured:.0%}; "
        f"cutout {augment.hole:g} on {augment.erased:.0%}",
        "kept weights": f"exponential average, decay {config.ema:g} per step",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return f"# {config.model}, trained by edgekit\n\n| | |\n|---|---|\n{table}\n"
