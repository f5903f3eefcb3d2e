"""Options are what the recipe's fields say of themselves, and give the recipe what was typed."""

from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command

from edgekit.cli import app
from edgekit.cli.export import chosen_recipe
from edgekit.cli.options import choices_of, parse_pairs
from edgekit.errors import EdgekitError
from edgekit.options import keys_of
from edgekit.recipe import OwnMethod, OwnPreprocess, Recipe

TABLES = ("preprocess", "compress")
FILLING = {key.name for table in TABLES for key in keys_of(Recipe)[table].options}
"""Options that fill tables of the recipe."""


def parameters(command):
    return {parameter.name: parameter for parameter in get_command(app).commands[command].params}


def given(*arguments):
    """The recipe that export follows."""
    keys = keys_of(Recipe).values()
    command = get_command(app).commands["export"]
    typed = command.make_context("export", list(map(str, arguments))).params
    return chosen_recipe(choices_of(keys, typed), typed["recipe"])


def test_every_field_of_the_recipe_is_an_option():
    own = {"recipe", "quiet", "as_json"}
    assert {field.name for field in fields(Recipe)} - {*TABLES} | FILLING == set(parameters("export")) - own


def test_commands_that_share_an_option_say_the_same_of_it():
    export, evaluate = parameters("export"), parameters("eval")
    for name in ("weights", "num_classes", "input_size", "model_args"):
        one, other = export[name], evaluate[name]
        assert (one.opts, one.help, one.metavar) == (other.opts, other.help, other.metavar)


def test_what_was_not_typed_is_what_the_recipe_says():
    assert given("net.onnx", "-t", "ort-int8") == Recipe(model="net.onnx", targets=("ort-int8",))


def test_every_option_reaches_its_field():
    typed = {
        "--target": "ort-int8",
        "-t": "tflite-int8",
        "--weights": "w.pth",
        "--num-classes": 7,
        "--input-size": "16x8",
        "--calibration": "images",
        "--samples": 9,
        "--method": "adaround",
        "--max-drop": 0.5,
        "--min-sqnr": 30,
        "--min-agreement": 99,
        "--eval": "test",
        "--labels": "labels.txt",
        "--io": "uint8",
        "--device": "pi",
        "--seed": 3,
        "--out": "there",
        "--mean": "0.5,0.4,0.3",
        "--std": "0.1 0.2 0.3",
        "--resize": 20,
        "--crop": "12x10",
        "--interpolation": "bicubic",
    }
    arguments = [part for pair in typed.items() for part in pair]
    several = ["--model-arg", "alpha=0.5", "--model-arg", "se=false", "--keep-float", "head.*", "--keep-float", "stem"]
    assert given("net", *arguments, *several, "--fold-normalization", "--bgr") == Recipe(
        model="net",
        targets=("ort-int8", "tflite-int8"),
        weights="w.pth",
        num_classes=7,
        input_size=(16, 8),
        model_args={"alpha": 0.5, "se": False},
        calibration="images",
        samples=9,
        method="adaround",
        keep_float=("head.*", "stem"),
        max_drop=0.5,
        min_sqnr=30,
        min_agreement=99,
        eval="test",
        labels=Path("labels.txt"),
        io="uint8",
        fold_normalization=True,
        device="pi",
        seed=3,
        out=Path("there"),
        preprocess=OwnPreprocess(20, (12, 10), "bicubic", (0.5, 0.4, 0.3), (0.1, 0.2, 0.3), "BGR"),
    )


def test_options_override_the_file(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text(
        'model = "net"\ntargets = "ort-int8"\nsamples = 7\nkeep_float = ["a"]\n[method]\nbase = "mse"\nbias = "none"\n'
    )
    assert given("--recipe", file).method == OwnMethod("mse", bias="none")
    made = given("other", "--recipe", file, "--quality", "best", "--keep-float", "b")
    assert (made.model, made.samples, made.method, made.quality) == ("other", 7, None, "best")
    assert made.keep_float == ("b",)


def test_options_of_the_preprocessing_fill_the_files_table(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text('model = "net"\ntargets = "ort-int8"\n[preprocess]\nresize = 40\nmean = [0.5]\nstd = [0.5]\n')
    assert given("--recipe", file, "--resize", 48, "--bgr").preprocess == OwnPreprocess(
        48, mean=(0.5,), std=(0.5,), channel_order="BGR"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mean", "a,b"], "mean is 'a,b', it must be a list of numbers"),
        (["--mean", "0.5"], "1 means and 3 deviations"),
        (["--crop", "9y9"], "'9y9' is not a size"),
        (["--std", "1,0,1"], "above 0"),
        (["--interpolation", "lanczos"], "one of bilinear, bicubic"),
    ],
)
def test_a_mistake_in_the_preprocessing_is_told_in_plain_words(arguments, said):
    with pytest.raises(EdgekitError) as raised:
        given("net.onnx", "-t", "ort-int8", *arguments)
    assert raised.value.code == "EK106"
    assert said in raised.value.what


def test_keyword_arguments_are_read_as_toml_or_python_or_text():
    pairs = ["a=1", "b=0.5", "c=true", "d=False", "e=large", "f='x'", "g=[1, 2]", "h=x=y"]
    assert parse_pairs(pairs) == {
        "a": 1,
        "b": 0.5,
        "c": True,
        "d": False,
        "e": "large",
        "f": "x",
        "g": [1, 2],
        "h": "x=y",
    }


@pytest.mark.parametrize("text", ["alpha", "=3", ""])
def test_a_keyword_argument_without_a_name_or_value_is_refused(text):
    with pytest.raises(EdgekitError, match="KEY=VALUE") as raised:
        parse_pairs([text])
    assert raised.value.code == "EK106"
