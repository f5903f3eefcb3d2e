"""The weights that ship with edgekit: what the registry, the card and the file say about them is the same."""

import hashlib
from importlib.resources import files

import numpy as np
import pytest

from edgekit.recipe import make_recipe
from edgekit.registry import models
from edgekit.verify.evaluate import Selection, evaluate_model

NAMES = [spec.name for spec in models if spec.find_weights("bundled")]
FOLDER = files("edgekit.models.weights")


def test_the_small_mobilenet_ships_weights():
    assert NAMES == ["mobilenet_v3_small"]


@pytest.mark.parametrize("name", NAMES)
def test_file_registry_and_card_agree(name):
    weights = models.get(name).find_weights("bundled")
    data, card = (FOLDER / weights.location).read_bytes(), (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert hashlib.sha256(data).hexdigest() == weights.sha256
    assert len(data) <= 4_000_000
    assert weights.sha256 in card
    assert f"{weights.top1:.2f} %" in card
    assert f"edgekit train {name} " in card


@pytest.mark.parametrize("name", NAMES)
def test_the_calibration_images_fit_the_weights(name):
    preprocess = models.get(name).find_weights("bundled").preprocess
    with (FOLDER / f"{name}.calibration.npz").open("rb") as stream, np.load(stream) as archive:
        pixels = archive["pixels"]
    assert (pixels.shape, pixels.dtype) == ((100, *preprocess.crop, 3), np.uint8)
    assert pixels.std() > 20  # images, not a grey field


def top1_on_cifar10(test_data, limit=None):
    selection = Selection(test_data / "images" / "cifar10" / "test.zip", limit=limit)
    return evaluate_model(make_recipe(model="mobilenet_v3_small", targets=("none",)), selection).top1.percent


def test_the_bundled_weights_recognise_cifar10(test_data):
    assert top1_on_cifar10(test_data, limit=500) > 80  # 85 % less three standard errors


@pytest.mark.slow
def test_the_bundled_weights_have_the_accuracy_that_they_declare(test_data):
    declared = models.get("mobilenet_v3_small").find_weights("bundled").top1
    assert declared >= 85
    assert top1_on_cifar10(test_data) == pytest.approx(declared, abs=0.1)
