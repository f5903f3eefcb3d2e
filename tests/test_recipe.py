"""Recipes: what can be chosen, and what is said about what cannot."""

import re
import tomllib
from dataclasses import FrozenInstanceError, asdict, fields, replace
from pathlib import Path

import pytest

from edgekit.errors import EdgekitError
from edgekit.recipe import OwnMethod, OwnPreprocess, Recipe, make_recipe, merge, read_recipe
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
    assert made.weights is made.calibration is made.input_size is made.io is made.method is None
    assert (made.quality, made.keep_float) == ("balanced", ())


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


@pytest.mark.parametrize(
    ("choices", "what", "fix"),
    [
        ({"samples": 0}, "samples is 0, it must be a whole number of at least 1", ""),
        ({"samples": "many"}, "samples is 'many', it must be a whole number of at least 1", ""),
        ({"samples": 2.5}, "samples is 2.5, it must be a whole number of at least 1", ""),
        ({"samples": True}, "samples is True, it must be a whole number of at least 1", ""),
        ({"num_classes": -3}, "num_classes is -3, it must be a whole number of at least 1", ""),
        ({"seed": 2**63}, f"seed is {2**63}, it must be a whole number from 0 to {2**63 - 1}", ""),
        ({"max_drop": -1}, "max_drop is -1, it must be a number of at least 0", ""),
        ({"max_drop": float("nan")}, "max_drop is nan, it must be a number of at least 0", ""),
        ({"min_sqnr": float("inf")}, "min_sqnr is inf, it must be a number", ""),
        ({"min_agreement": 101}, "min_agreement is 101, it must be a number from 0 to 100", ""),
        ({"fold_normalization": "perhaps"}, "fold_normalization is 'perhaps', it must be true or false", ""),
        ({"weights": 3}, "weights is 3, it must be text", ""),
        ({"model": ["net"]}, "model is ['net'], it must be text", ""),
        ({"labels": 3}, "labels is 3, it must be a path", ""),
        ({"out": {}}, "out is {}, it must be a path", ""),
        ({"targets": 3}, "targets is 3, it must be a list of texts", ""),
        ({"targets": [3]}, "targets is [3], it must be a list of texts", ""),
        ({"targets": []}, "targets: name at least one; see: edgekit targets", ""),
        (
            {"input_size": "7x"},
            "input_size: '7x' is not a size; write it as 224 or 224x224 (height x width, pixels)",
            "",
        ),
        ({"input_size": 0}, "input_size: 0x0 is not a size; height and width are 1 pixel or more", ""),
        ({"input_size": [3]}, "input_size is [3], it must be 2 whole numbers", ""),
        ({"model_args": 3}, "model_args is 3, it must be a table of numbers, texts, true and false", ""),
        (
            {"model_args": {"a": []}},
            "model_args is {'a': []}, it must be a table of numbers, texts, true and false",
            "",
        ),
        ({"io": "int4"}, "io is 'int4', it must be one of int8, uint8, float32", "did you mean int8 or uint8?"),
        ({"io": 8}, "io is 8, it must be one of int8, uint8, float32", ""),
        ({"quality": "bset"}, "quality is 'bset', it must be one of fast, balanced, best", "did you mean best?"),
        ({"keep_float": [1]}, "keep_float is [1], it must be a list of texts", ""),
        ({"method": 3}, "method is 3, it must be text or a table", ""),
        ({"method": {"critrion": "mse"}}, "the table method has no option 'critrion'", "did you mean criterion?"),
        (
            {"method": {"criterion": "ms"}},
            "method.criterion is 'ms', it must be one of min-max, percentile, mse, entropy, relative",
            "did you mean mse?",
        ),
        ({"method": {"rounding": 1}}, "method.rounding is 1, it must be one of nearest, adaptive", ""),
        (
            {"method": {"bias": "emp"}},
            "method.bias is 'emp', it must be one of none, analytic, empirical",
            "did you mean",
        ),
        ({"method": {"equalize": "very"}}, "method.equalize is 'very', it must be true or false", ""),
        ({"method": {"base": 8}}, "method.base is 8, it must be text", ""),
        ({"method": {"keep_float": 8}}, "method.keep_float is 8, it must be a list of texts", ""),
        ({"preprocess": 3}, "preprocess is 3, it must be a table", ""),
        ({"preprocess": {"resise": 256}}, "the table preprocess has no option 'resise'", "did you mean resize?"),
        ({"preprocess": {"resize": "x"}}, "preprocess.resize is 'x', it must be a whole number", ""),
        ({"preprocess": {"crop": [1, 2, 3]}}, "preprocess.crop is [1, 2, 3], it must be 2 whole numbers", ""),
        ({"preprocess": {"mean": "x"}}, "preprocess.mean is 'x', it must be a list of numbers", ""),
        (
            {"preprocess": {"channel_order": "RBG"}},
            "preprocess.channel_order is 'RBG', it must be one of RGB, BGR",
            "did you mean RGB",
        ),
        ({"preprocess": {"mean": (0.5,)}}, "preprocess: 1 means and 3 deviations; give one per channel", ""),
        ({"tune": "m4"}, "tune is 'm4', it must be one of a53, a72, a76, x86", ""),
        ({"compress": 3}, "compress is 3, it must be a table", ""),
        ({"compress": {"prun": 0.3}}, "the table compress has no option 'prun'", "did you mean prune?"),
        ({"compress": {"prune": 2}}, "compress.prune is 2, it must be a number from 0 to 0.99", ""),
        (
            {"compress": {"layers": {"stem": 7}}},
            "compress.layers: the ratio of stem is 7; it is from 0 to below 1",
            "",
        ),
        ({"compress": {}}, "nothing is taken out: the ratio is 0, and no rank is given", "give --prune RATIO"),
        ({"compress": {"low_rank": 0.9, "budget": 0.5}}, "low_rank and budget each choose the ranks", "give one of"),
        ({"calibraton": "images"}, "there is no option 'calibraton'", "did you mean calibration?"),
        ({"target": "tflite-int8"}, "there is no option 'target'", "did you mean targets?"),
        ({"zzz": 1}, "there is no option 'zzz'", "known are: model, targets, weights"),
    ],
)
def test_a_mistake_is_told_in_plain_words(choices, what, fix):
    error = refused(**choices)
    assert error.what == what
    assert error.fix.startswith(fix or "see: edgekit export --help")


def test_a_long_value_is_cut():
    assert len(refused(samples="many" * 100).what) < 150


def test_every_field_has_a_mistake_among_those_above():
    told = {
        name for mark in test_a_mistake_is_told_in_plain_words.pytestmark for case in mark.args[1] for name in case[0]
    }
    strings = {"calibration", "eval", "device"}  # like weights: any text
    assert {field.name for field in fields(Recipe)} <= told | strings


def test_a_recipe_that_is_made_by_itself_is_checked_as_well():
    with pytest.raises(EdgekitError, match="samples is 0") as raised:
        Recipe(model="net", targets=("t",), samples=0)
    assert raised.value.code == "EK106"
    assert Recipe(model="net", targets=("t",), input_size="8x4").input_size == (8, 4)


def test_all_bad_keys_are_named_at_once():
    error = refused(samples=0, io="int4", bogus=1, preprocess={"resise": 1, "crop": [3]})
    assert error.where == "bogus, io, preprocess, samples"
    assert [row[0] for row in error.table.rows] == ["samples", "io", "bogus", "preprocess.resise", "preprocess.crop"]


def test_a_model_is_needed():
    with pytest.raises(EdgekitError) as raised:
        make_recipe(targets=("t",))
    assert (raised.value.where, raised.value.what) == ("model", "model is missing")
    assert raised.value.fix.startswith("give model: zoo name, timm:NAME")


def test_a_table_says_otherwise_what_the_weights_say_and_nothing_else():
    weights = Preprocess(40, (32, 32), "bicubic", labels="cifar10")
    assert OwnPreprocess(mean=(0.5,) * 3).over(weights) == replace(weights, mean=(0.5,) * 3, labels=None)
    assert OwnPreprocess(crop=(64, 48)).over(weights).resize == 60
    assert OwnPreprocess(resize=64, crop=(64, 48)).over(weights).resize == 64


def test_a_preprocess_made_in_python_is_checked_like_a_table():
    assert recipe(preprocess=Preprocess()).preprocess == Preprocess()
    assert refused(preprocess=Preprocess(mean=(0.0,))).where == "preprocess"


def test_a_single_target_or_pattern_is_a_list_of_one():
    made = recipe(targets="ort-int8", keep_float="head", method={"keep_float": "stem"})
    assert (made.targets, made.keep_float, made.kept_float) == (("ort-int8",), ("head",), ("head", "stem"))


def test_a_method_is_a_name_or_a_table():
    assert recipe(method="adaround").method == "adaround"
    own = OwnMethod(base="adaround", criterion="percentile", equalize=False)
    table = {"base": "adaround", "criterion": "percentile", "equalize": False}
    assert recipe(method=table).method == recipe(method=own).method == own


def test_a_method_and_a_quality_exclude_each_other():
    error = refused(method="mse", quality="fast")
    assert (error.where, error.table) == ("method, quality", None)
    assert recipe(method="mse").quality is None


def test_a_drop_is_measured_on_labelled_images():
    error = refused(max_drop=0.5)
    assert (error.where, error.fix) == ("max_drop", "name them with --eval DIR")
    assert recipe(max_drop=0.5, eval="images").max_drop == 0.5


def test_options_override_a_file():
    keys = {"samples": 7, "quality": "best", "io": "int8"}
    assert merge(keys, {"samples": 9}) == {**keys, "samples": 9}
    assert merge(keys, {"method": "mse"}) == {"samples": 7, "io": "int8", "method": "mse"}
    assert merge({"method": {"base": "mse"}}, {"quality": "fast"}) == {"quality": "fast"}
    assert merge({"method": "mse", "quality": "fast"}, {}) == {"method": "mse", "quality": "fast"}


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"quality": "best"},
        {"method": "adaround", "keep_float": ["head.*"]},
        {"method": {"base": "mse", "bias": "none", "keep_float": ["a"]}, "input_size": "8x4", "labels": Path("l.txt")},
        {"preprocess": {"resize": 9, "crop": [8, 8]}, "model_args": {"a": 1, "b": "x", "c": True, "d": 0.5}},
    ],
)
def test_a_recipe_can_be_made_again_from_its_document(choices):
    made = recipe(**choices)
    assert make_recipe(**made.document()) == made


def test_a_recipe_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
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
        keep_float = ["stem"]
        [method]
        base = "adaround"
        criterion = "mse"
        keep_float = ["head.*", "features.0"]
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
    assert made.preprocess == OwnPreprocess(220, (192, 160), mean=(0.5,) * 3, std=(0.5,) * 3)
    assert made.model_args == {"width": 0.5}
    assert made.method == OwnMethod("adaround", "mse", keep_float=("head.*", "features.0"))
    assert made.kept_float == ("stem", "head.*", "features.0")


def test_the_recipe_in_the_readme_turns_every_knob(repository):
    (text,) = re.findall(r"```toml\n(.*?)```", (repository / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    made = recipe(**tomllib.loads(text))
    assert made.keep_float == ("features.0",)
    assert {name for name, value in asdict(made.method).items() if value is None} == set()


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
