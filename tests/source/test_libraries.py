"""`timm:` and `torchvision:` where the library is missing, and how their configurations become a Preprocess.

What needs the libraries themselves runs in an environment of its own.
"""

import sys
from enum import Enum
from types import SimpleNamespace

import pytest

from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe
from edgekit.registry import Preprocess
from edgekit.source import bundle_name, resolve, source_kind
from edgekit.source.libraries import timm_preprocess, torchvision_preprocess

CONFIG = {
    "input_size": (3, 224, 224),
    "crop_pct": 0.875,
    "interpolation": "bicubic",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.25, 0.25, 0.25),
    "crop_mode": "center",
}


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)  # import then fails as it does where nothing is installed
    with pytest.raises(EdgekitError) as raised:
        resolve(make_recipe(model=f"{library}:some_net", targets=("t",), weights="random"))
    error = raised.value
    assert (error.code, error.exit_code) == ("EK701", 3)
    assert error.what == f"{library} is not installed"
    assert error.fix == f"pip install 'edgekit[{library}]'"
    assert error.where == f"model {library}:NAME"


@pytest.mark.parametrize(("crop_pct", "resize"), [(0.875, 256), (1.0, 224), (0.95, 235), (0.9, 248)])
def test_timms_crop_share_becomes_a_shorter_side_rounded_down(crop_pct, resize):
    found = timm_preprocess({**CONFIG, "crop_pct": crop_pct}, "timm:net")
    assert found == Preprocess(resize, (224, 224), "bicubic", (0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize("changed", [{"crop_mode": "squash"}, {"interpolation": "lanczos"}])
def test_a_step_that_edgekit_does_not_have_is_refused(changed):
    with pytest.raises(EdgekitError) as raised:
        timm_preprocess({**CONFIG, **changed}, "timm:net")
    assert raised.value.code == "EK106"
    assert "--interpolation bilinear" in raised.value.fix


def test_a_squashed_whole_image_is_a_centre_crop_of_everything():
    assert timm_preprocess({**CONFIG, "crop_mode": "squash", "crop_pct": 1.0}, "timm:net").resize == 224


def test_torchvisions_preset_is_taken_over():
    class Mode(Enum):
        BICUBIC = "bicubic"

    preset = SimpleNamespace(
        resize_size=[232], crop_size=[224], interpolation=Mode.BICUBIC, mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6]
    )
    assert torchvision_preprocess(preset) == Preprocess(232, (224, 224), "bicubic", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("resnet18", "zoo"),
        ("timm:resnet18.a1_in1k", "libraries"),
        ("torchvision:resnet18", "libraries"),
        ("a/net.onnx", "onnx_file"),
        ("NET.ONNX", "onnx_file"),
        ("net.pt2", "exported_program"),
        ("net.py", "python_file"),
        ("a.py/net.py:make", "python_file"),
    ],
)
def test_the_kind_of_a_source_is_seen_from_its_name(model, kind):
    assert source_kind(model) == kind


@pytest.mark.parametrize(("model", "said"), [("a/net.pth", "--weights a/net.pth"), ("net.tflite", ".onnx file")])
def test_files_that_hold_no_model_say_what_to_do_instead(model, said):
    with pytest.raises(EdgekitError) as raised:
        source_kind(model)
    assert raised.value.code == "EK106"
    assert said in raised.value.fix


@pytest.mark.parametrize(
    ("text", "name"), [("net", "net"), ("my net (1)", "my-net-1"), ("../x", "x"), ("é", "é"), ("//", "model")]
)
def test_any_name_becomes_the_name_of_a_folder(text, name):
    assert bundle_name(text) == name
