"""Settled networks, and the images that they know, made once per session."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from settled import settle, smooth_images
from small import CLASSES, SMALL

from edgekit.cli import main
from edgekit.images.folder import ImageFolder
from edgekit.registry import models
from edgekit.source.zoo import reference_preprocess

SIZE = 64


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images with the spectrum of photographs."""
    folder = tmp_path_factory.mktemp("photographs")
    for index, image in enumerate(smooth_images(CLASSES, SIZE, SIZE)):
        pixels = np.clip(124 + 58 * image.transpose(1, 2, 0), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return folder


@pytest.fixture(scope="session")
def settled_weights(photographs: Path, tmp_path_factory: pytest.TempPathFactory):
    """A function: model name -> a checkpoint that knows the photographs, so that its int8 means something."""
    folder, made = tmp_path_factory.mktemp("weights"), {}

    def make(name: str) -> Path:
        if name not in made:
            options, size = SMALL[name]
            preprocess = reference_preprocess(models.get(name), CLASSES).at(size, size)
            (images,) = ImageFolder.open(photographs).batches(preprocess, CLASSES)
            torch.manual_seed(0)
            module = settle(models.get(name).build(num_classes=CLASSES, **options), images)
            made[name] = folder / f"{name}.safetensors"
            save_file({key: value.contiguous() for key, value in module.state_dict().items()}, made[name])
        return made[name]

    return make


@pytest.fixture
def settled_arguments(settled_weights, photographs: Path):
    """A function: model name -> what `edgekit export` is told for its small, settled form."""

    def arguments(name: str) -> list[str]:
        options, size = SMALL[name]
        given = {
            "num-classes": CLASSES,
            "weights": settled_weights(name),
            "input-size": size,
            "calibration": photographs,
        }
        named = [("model-arg", f"{key}={value}") for key, value in options.items()]
        return [word for key, value in (*given.items(), *named) for word in (f"--{key}", str(value))]

    return arguments


@pytest.fixture
def export_settled(settled_arguments, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """A function: export a small, settled model -> (exit code, the JSON document)."""

    def run(name: str, *targets: str) -> tuple[int, dict[str, Any]]:
        wanted = [word for target in targets for word in ("--target", target)]
        code = main(["export", name, *settled_arguments(name), *wanted, "--quiet", "--json", "--out", str(tmp_path)])
        return code, json.loads(capsys.readouterr().out)

    return run
