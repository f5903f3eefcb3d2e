"""The linter says what is wrong with calibration images, with the evidence, and is quiet about good ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from edgekit.images.folder import ImageFolder
from edgekit.inputs.choose import Inputs
from edgekit.inputs.lint import Look, lint
from edgekit.recipe import make_recipe
from edgekit.registry import Preprocess
from edgekit.source import Source

SIZE = 48
FEED = Preprocess(resize=SIZE, crop=(SIZE, SIZE), mean=(0.5, 0.45, 0.4), std=(0.25, 0.25, 0.25), labels=None)


def picture(seed):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (6, 6, 3)) * np.array([1.0, 0.7, 0.4])  # more red than blue
    return Image.fromarray(coarse.astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    for index in range(40):
        picture(index).save(tmp_path / f"{index:02}.png")
    return tmp_path


def warnings(folder, feed=FEED, module=None, **choices):
    images = ImageFolder.open(folder)
    inputs = Inputs("calibration images", "", len(images), lambda: iter(images.batches(feed, 16)), images)
    look = Look(feed)
    assert sum(len(batch) for batch in look.watch(inputs.batches())) == len(images)
    source = Source.__new__(Source)
    for name, value in {"module": module, "preprocess": feed}.items():
        object.__setattr__(source, name, value)
    return lint(look, inputs, make_recipe(model="net", targets=("tflite-int8",), **choices), source)


def test_good_images_give_no_warning(folder):
    assert warnings(folder) == ()


def test_few_images_are_counted(folder):
    for index in range(10, 40):
        (folder / f"{index:02}.png").unlink()
    (found,) = warnings(folder)
    assert found.startswith("only 10 calibration images")


def test_blank_images_are_named(folder):
    Image.new("RGB", (SIZE, SIZE), (90, 90, 90)).save(folder / "03.png")
    (found,) = warnings(folder)
    assert "1 calibration images are blank" in found
    assert "03.png" in found


def test_noise_is_named(folder):
    pixels = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "07.png")
    (found,) = warnings(folder)
    assert "look like noise" in found
    assert "07.png" in found


def test_recompressed_copies_are_named(folder):
    picture(4).save(folder / "copy.jpg", quality=70)
    (found,) = warnings(folder)
    assert "1 calibration images repeat another one" in found
    assert "04.png and copy.jpg" in found


def test_overlap_with_the_evaluation_set_is_found_by_hash(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("evaluation")
    for index in (5, 100, 101):
        picture(index).save(other / f"renamed{index}.png")
    (found,) = warnings(folder, eval=other)
    assert found.startswith("1 calibration images are in the evaluation set too")
    assert "05.png" in found


@pytest.fixture
def trained(folder):
    """A network whose first layers remember the statistics of these images, rightly read."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU()
    )
    for layer in (module[1], module[4]):
        layer.momentum = None
    with torch.no_grad():
        for batch in ImageFolder.open(folder).batches(FEED, 40):
            module(torch.from_numpy(batch))
    return module.eval()


def test_a_right_reading_is_not_doubted(folder, trained):
    assert warnings(folder, module=trained) == ()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ({"channel_order": "BGR"}, "as RGB instead of BGR"),
        ({"mean": (0.485, 0.456, 0.406), "std": (1 / 255,) * 3}, "as "),
        ({"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}, "as "),
    ],
)
def test_a_reading_that_fits_better_is_named_with_its_distance(folder, trained, wrong, right):
    (found,) = warnings(folder, feed=replace(FEED, **wrong), module=trained)
    assert right in found
    assert "BatchNorm statistics instead of" in found
