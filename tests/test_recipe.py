"""Recipes: what can be chosen, and what is said about what cannot."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe, read_recipe
from edgekit.registry import Preprocess


def recipe(**choices):
    return make_recipe(**{"model": "net", "targets": ("tflite-int8",), **choices})


def refused(**choices):
    with pytest.raises(EdgekitError) as raised:
        recipe(**choices)
    assert raised.value.code == "EK106"
    return raised.value


def test_the_defaults_are_the_documented_ones():
    made = recipe()
    assert (made.samples, made.seed, made.device, made.out) == (100, 0, "local", Path("build"))
    assert made.weights is made.calibration is made.input_size is made.io is None


def test_what_was_not_given_does_not_override_a_default():
    assert recipe(samples=None, out=None) == recipe()


@pytest.mark.parametrize(
    ("given", "size"),
    [("224", (224, 224)), ("224x160", (224, 160)), ("12X10", (12, 10)), (96, (96, 96)), ([64, 32], (64, 32))],
)
def test_a_size_is_height_by_width(given, size):
    assert recipe(input_size=given).input_size == size


@pytest.mark.parametrize(
    "given", ["", "x", "axb", "224x", "x224", "1x2x3", "-3", "0", "0x8", 0, -5, [0, 3], [3], True, 2.5]
)
def test_a_size_that_is_none_is_refused(given):
    assert refused(input_size=given).where == "input_size"


@pytest.mark.parametrize(
    ("choices", "where"),
    [
        ({"targets": ()}, "targets"),
        ({"samples": 0}, "samples"),
        ({"num_classes": 0}, "num_classes"),
        ({"io": "int4"}, "io"),
        ({"seed": "x"}, "seed"),
        ({"model_args": {"a": [1]}}, "model_args"),
        ({"preprocess": {"interpolation": "lanczos"}}, "preprocess"),
        ({"preprocess": {"resise": 256}}, "preprocess"),
        ({"preprocess": {"mean": (0.5,)}}, "preprocess"),
        ({"preprocess": {"std": (0.2, 0.0, 0.2)}}, "preprocess"),
        ({"preprocess": {"crop": (0, 224)}}, "preprocess"),
        ({"preprocess": {"resize": 0}}, "preprocess"),
        ({"preprocess": {"mean": (), "std": ()}}, "preprocess"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_by_its_key(choices, where):
    assert refused(**choices).where == where


def test_all_bad_keys_are_named_at_once():
    assert refused(samples=0, io="int4", bogus=1).where == "bogus, io, samples"


def test_a_model_is_needed():
    with pytest.raises(EdgekitError) as raised:
        make_recipe(targets=("t",))
    assert raised.value.where == "model"


def test_a_preprocess_made_in_python_is_checked_like_a_table():
    assert recipe(preprocess=Preprocess()).preprocess == Preprocess()
    assert refused(preprocess=Preprocess(mean=(0.0,))).where == "preprocess"


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError):
        recipe().samples = 3


def test_a_file_gives_what_options_would(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(
        """
        model = "mobilenet_v3_small"
        targets = ["tflite-int8", "ort-int8"]
        weights = "own.pth"
        input_size = "192x160"
        model_args = { width = 0.5 }
        [preprocess]
        resize = 220
        crop = [192, 160]
        mean = [0.5, 0.5, 0.5]
        std = [0.5, 0.5, 0.5]
        """
    )
    made = make_recipe(**read_recipe(path))
    assert made.input_size == (192, 160)
    assert made.targets == ("tflite-int8", "ort-int8")
    # ImageNet's class names are not assumed where the file names none.
    assert made.preprocess == Preprocess(220, (192, 160), mean=(0.5,) * 3, std=(0.5,) * 3, labels=None)
    assert made.model_args == {"width": 0.5}


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(EdgekitError) as raised:
        read_recipe(tmp_path / "no.toml")
    assert raised.value.code == "EK102"
    for content in (b"model = ", b"\xff\xfe"):
        (tmp_path / "recipe.toml").write_bytes(content)
        with pytest.raises(EdgekitError) as raised:
            read_recipe(tmp_path / "recipe.toml")
        assert (raised.value.code, raised.value.where) == ("EK106", str(tmp_path / "recipe.toml"))


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(EdgekitError) as raised:
        read_recipe(tmp_path)
    assert raised.value.code == "EK102"
