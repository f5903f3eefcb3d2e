"""What is decided for every source alike: its labels."""

import pytest
from PIL import Image

from edgekit.recipe import make_recipe
from edgekit.source import resolve

NET = """
from torch import nn
def make(num_classes=3):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    return f"{tmp_path}/net.py:make"


def folders(root, *names):
    for name in names:
        (root / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(root / name / "one.png")
    return str(root)


def source(model, **choices):
    return resolve(make_recipe(model=model, targets=("t",), input_size=8, **choices))


@pytest.mark.parametrize("option", ["calibration", "eval"])
def test_class_folders_are_labels_where_there_are_as_many_as_classes(tmp_path, model, option):
    images = folders(tmp_path / "photos", "cow", "ant", "bee")
    found = source(model, **{option: images})
    assert found.labels == ("ant", "bee", "cow")
    assert found.notes == ("labels are the names of the 3 class folders of photos",)
    assert source(model, **{option: images}, num_classes=4).labels == ()


def test_the_images_that_are_measured_on_go_before_those_that_calibrate(tmp_path, model):
    one, other = folders(tmp_path / "a", "x", "y", "z"), folders(tmp_path / "b", "p", "q", "r")
    assert source(model, eval=one, calibration=other).labels == ("x", "y", "z")
    assert source(model, eval=folders(tmp_path / "c", "x", "y"), calibration=other).labels == ("p", "q", "r")


def test_labels_that_were_named_go_before_folders(tmp_path, model):
    (tmp_path / "labels.txt").write_text("one\ntwo\nthree\n")
    images = folders(tmp_path / "photos", "cow", "ant", "bee")
    found = source(model, calibration=images, labels=tmp_path / "labels.txt")
    assert (found.labels, found.notes) == (("one", "two", "three"), ())


@pytest.mark.parametrize("calibration", ["distill", "/no/such/folder"])
def test_without_folders_there_are_no_labels(model, calibration):
    assert source(model, calibration=calibration).labels == ()
