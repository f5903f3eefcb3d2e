"""Which images an export calibrates on and compares on."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.images.folder import ImageFolder
from edgekit.inputs.choose import (
    PARITY_IMAGES,
    UNSEEN_WITHOUT_CLASSES,
    as_fed,
    calibration_inputs,
    parity_inputs,
    unseen_inputs,
)
from edgekit.recipe import make_recipe
from edgekit.registry import Preprocess
from edgekit.source import Source
from edgekit.source.outputs import OutputSpec

FEED = Preprocess(resize=18, crop=(16, 16))
RAW = Preprocess(resize=18, crop=(16, 16), mean=(0.0,) * 3, std=(1 / 255,) * 3)


def recipe(**choices):
    return make_recipe(model="net", targets=("t",), **choices)


def source(module=None, **changed):
    fields = {"name": "net", "module": module, "graph": None, "input_shape": (1, 3, 16, 16), "preprocess": FEED}
    return Source(**{**fields, "weights": "random", "weights_sha256": "", "outputs": (), **changed})


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(tmp_path / f"{i:02}.png")
    return tmp_path


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()


def test_a_named_folder_is_calibrated_on_in_full_batches(folder):
    found = calibration_inputs(recipe(calibration=str(folder), samples=33), source(), FEED)
    assert (found.count, found.description) == (33, "calibration images")
    assert found.sha256 == ImageFolder.open(folder).select(33).sha256()
    batches = list(found.batches())
    assert [len(batch) for batch in batches] == [16, 16, 1]
    assert np.array_equal(found.load(), np.concatenate(list(found.batches()))), "they can be read again"


def test_hops_are_compared_on_a_spread_of_the_calibration_images(folder):
    found = parity_inputs(recipe(calibration=str(folder), samples=36), source(), FEED, None)
    expected = ImageFolder.open(folder).select(36).select(PARITY_IMAGES)
    assert found.count == PARITY_IMAGES
    assert np.array_equal(found.load(), np.concatenate(list(expected.batches(FEED, 16))))
    assert found.description == "calibration images"


def test_the_headline_is_of_images_that_calibration_did_not_see(folder):
    chosen = recipe(calibration=str(folder), samples=20)
    calibration = calibration_inputs(chosen, source(), FEED)
    found = unseen_inputs(chosen, source(), FEED, calibration)
    assert found is not None
    assert found.folder is not None
    assert not set(found.folder.names) & set(calibration.folder.names)
    assert (found.count, found.description) == (UNSEEN_WITHOUT_CLASSES, "images that calibration did not see")


@pytest.mark.parametrize(("samples", "classes"), [(30, ""), (20, "scores")])
def test_too_few_that_are_left_make_no_headline(folder, samples, classes):
    chosen = recipe(calibration=str(folder), samples=samples)
    outputs = (OutputSpec("y", (1, 5), "scores"),) if classes else ()
    net = source(outputs=outputs)
    assert unseen_inputs(chosen, net, FEED, calibration_inputs(chosen, net, FEED)) is None


def test_without_calibration_on_a_folder_there_is_no_headline_of_its_own():
    assert unseen_inputs(recipe(), source(), FEED, None) is None


def test_without_images_they_are_distilled_from_the_module(net):
    found = calibration_inputs(recipe(samples=3), source(net), FEED)
    assert (found.count, found.load().shape) == (3, (3, 3, 16, 16))
    assert "distilled" in found.description
    again = calibration_inputs(recipe(samples=3, calibration="distill"), source(net), FEED)
    assert again.sha256 == found.sha256
    assert calibration_inputs(recipe(samples=3, seed=1), source(net), FEED).sha256 != found.sha256


def test_parity_repeats_what_the_images_were(net):
    calibration = calibration_inputs(recipe(samples=5), source(net), FEED)
    found = parity_inputs(recipe(samples=5), source(net), FEED, calibration)
    assert (found.count, found.description) == (5, calibration.description)
    assert np.array_equal(found.load(), calibration.load())


def test_a_graph_cannot_be_distilled():
    with pytest.raises(EdgekitError) as raised:
        calibration_inputs(recipe(), source(), FEED)
    assert raised.value.code == "EK402"
    assert "--calibration DIR" in raised.value.fix


def test_without_anything_parity_is_measured_on_noise_which_is_said():
    found = parity_inputs(recipe(), source(), FEED, None)
    assert "noise" in found.description
    assert found.load().shape == (PARITY_IMAGES // 2, 3, 16, 16)
    assert parity_inputs(recipe(), source(), FEED, None).sha256 == found.sha256
    assert parity_inputs(recipe(seed=1), source(), FEED, None).sha256 != found.sha256


def test_a_graph_with_folded_normalisation_is_fed_the_pixels_of_the_same_images():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4)).astype(np.float32)
    mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (FEED.mean, FEED.std))
    normalised = (pixels / 255 - mean) / std
    assert np.allclose(as_fed(normalised, FEED, RAW), pixels, atol=1e-3)
    assert np.allclose(as_fed(pixels, RAW, FEED), normalised, atol=1e-5)
    assert as_fed(normalised, FEED, FEED) is normalised


def test_images_beyond_black_and_white_become_pixels():
    beyond = np.full((1, 3, 2, 2), 99, np.float32)
    assert as_fed(beyond, FEED, RAW).max() == pytest.approx(255)
    assert as_fed(-beyond, FEED, RAW).min() == 0
