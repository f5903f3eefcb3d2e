"""What a finished run leaves: float16 weights, calibration images distilled from them, and a card."""

import copy
import hashlib
import os
import shlex
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from edgekit import __version__
from edgekit.bundle import archive
from edgekit.quant.distill import distill, to_pixels
from edgekit.train.augment import Augment
from edgekit.train.config import TrainConfig, TrainResult
from edgekit.train.data import LabelledImages

CALIBRATION_IMAGES = 100


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
    """Write MODEL.safetensors, MODEL.calibration.npz and MODEL.md into `config.out`, each whole or not at all."""
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }
    data = save(tensors, metadata={"model": config.model, "format": "pt"})
    digest = hashlib.sha256(data).hexdigest()
    weights, card = config.out / f"{config.model}.safetensors", config.out / f"{config.model}.md"
    _replace(weights, data)
    _replace(config.out / f"{config.model}.calibration.npz", archive(pixels=calibration_pixels(config, model)))
    _replace(card, _card(config, images, evaluation, top1, digest, len(data)).encode())
    return TrainResult(weights, card, digest, top1)


def calibration_pixels(config: TrainConfig, model: nn.Module) -> NDArray[np.uint8]:
    """u8[100, H, W, 3], RGB: what quantization is calibrated on where no real images are given."""
    shape = (1, 3, config.input_size, config.input_size)
    images = distill(model.eval(), shape, config.preprocess, CALIBRATION_IMAGES, config.seed)
    return to_pixels(images, config.preprocess).transpose(0, 2, 3, 1)


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)


def command(config: TrainConfig) -> str:
    """The command line that repeats the run (file names without their folders)."""
    words = ["edgekit", "train", config.model, "--data", config.data.name]
    if config.evaluation:
        words += ["--eval", config.evaluation.name]
    words += ["--epochs", str(config.epochs), "--input-size", str(config.input_size), "--seed", str(config.seed)]
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
        "input": f"RGB {config.input_size}x{config.input_size}, mean {config.mean}, std {config.std}",
        "top-1": measured,
        "file": f"{config.model}.safetensors, float16, {size_bytes:,} bytes",
        "sha256": f"`{digest}`",
        "seed": str(config.seed),
        "made with": f"edgekit {__version__}, torch {torch.__version__}",
        "command": f"`{command(config)}`",
        "optimiser": f"AdamW, weight decay {config.weight_decay:g} (none on biases, norms and depthwise filters)",
        "learning rate": f"{config.learning_rate:g}, batch {config.batch_size}: rises {config.warmup_epochs} epochs, "
        f"holds, falls linearly to 0 over the last {config.decay_epochs} of {config.epochs}",
        "input size": f"{config.start_size} for {config.start_epochs} epochs, then {config.input_size}",
        "loss": f"cross entropy, label smoothing {config.smoothing:g}",
        "augmentation": f"flip; shift {augment.shift:g}; rotation {augment.rotation:g} degrees, zoom {augment.zoom:g}, "
        f"shear {augment.shear:g} on {augment.warped:.0%}; colour {augment.colour:g} on {augment.coloured:.0%}; "
        f"cutout {augment.hole:g} on {augment.erased:.0%}",
        "kept weights": f"exponential average, decay {config.ema:g} per step",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return f"# {config.model}, trained by edgekit\n\n| | |\n|---|---|\n{table}\n"
