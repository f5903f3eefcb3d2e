"""`edgekit train` from the command line to a file that `export` takes."""

import json

import pytest

from edgekit.cli import main
from edgekit.recipe import make_recipe, read_recipe
from edgekit.source import resolve
from edgekit.train.config import CIFAR10_MEAN, CIFAR10_STD

MODEL = "resnet20_cifar"
SUFFIXES = ("safetensors", "calibration.npz", "md", "labels.txt", "toml")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("train") / 'a "quoted" folder'


@pytest.fixture(scope="module")
def arguments(class_folders, out):
    sizes = ["--input-size", "12", "--start-size", "12", "--stored-size", "10", "--batch-size", "10"]
    return ["train", MODEL, "--data", str(class_folders), "--eval", str(class_folders), "--out", str(out), *sizes]


def test_training_leaves_weights_that_can_be_exported_and_refuses_to_go_on_otherwise(arguments, out, capfd):
    assert main([*arguments, "--epochs", "1", "--json"]) == 0
    printed = capfd.readouterr()
    document = json.loads(printed.out)
    assert document["weights"] == str(out / f"{MODEL}.safetensors")
    assert 0 <= document["top1"] <= 100
    assert "epoch 1/1  12 px" in printed.err
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["checkpoint.pt", *(f"{MODEL}.{suffix}" for suffix in SUFFIXES)]
    )

    source = resolve(make_recipe(**read_recipe(out / f"{MODEL}.toml"), targets=("tflite-int8",)))
    assert (source.input_shape, source.scores.classes) == ((1, 3, 12, 12), 3)
    assert source.labels == ("dark", "light", "striped")
    assert source.weights_sha256 == document["sha256"]
    assert (source.preprocess.mean, source.preprocess.std) == (CIFAR10_MEAN, CIFAR10_STD)
    assert (source.preprocess.resize, source.preprocess.crop) == (12, (12, 12))

    assert main([*arguments, "--resume", "--seed", "3"]) == 2
    refused = capfd.readouterr().err
    assert "EK106" in refused
    assert "another seed" in refused


def test_a_model_that_is_not_known_is_a_usage_error_with_a_near_miss(arguments, capfd):
    assert main([arguments[0], "resnet20_cifra", *arguments[2:], "--json"]) == 2
    error = json.loads(capfd.readouterr().out)["error"]
    assert error["code"] == "EK101"
    assert MODEL in error["fix"]
