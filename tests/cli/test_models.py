"""`edgekit models`: the table and the card."""

import json

import pytest

from edgekit.cli import main
from edgekit.registry import models


@pytest.fixture
def said(capsys):
    """A function that runs a command and returns what it printed."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    return run


def test_the_table_has_every_model_with_its_accuracy_and_where_that_is_stated(said):
    lines = {line.split()[0]: line for line in said("models").splitlines()}
    assert set(models.names()) <= set(lines)
    assert "69.8  torchvision ResNet18_Weights.IMAGENET1K_V1" in lines["resnet18"]
    assert "CIFAR-10" in lines["resnet20_cifar"]


def test_the_card_says_what_the_model_is_made_of_and_what_it_takes(said):
    text = said("models", "mobilenet_v2")
    assert "52 Conv" in text
    assert "13.95 MB weights, 6.02 MB activations at their peak" in text
    assert "features.18  ConvNormAct" in text
    assert "resize the shorter side to 232 pixels" in text  # each weights file has its own
    assert "resize the shorter side to 256 pixels" in text


def test_the_card_says_which_options_the_model_takes_and_what_no_file_has(said):
    text = said("models", "googlenet")
    assert "params     13,004,888, 6,379,984 of them in heads" in text
    assert "--model-arg aux_heads=True  true or false" in text
    assert "whether it has the two heads that only training uses" in text


def test_the_accuracy_in_the_table_is_of_the_input_in_the_table_or_says_of_which(said):
    lines = {line.split()[0]: line for line in said("models").splitlines()}
    assert "475x475" in lines["tf_efficientnet_l2"]
    assert "_475" in lines["tf_efficientnet_l2"]
    assert "at 288x288" in lines["efficientnet_b2"]


def test_the_card_as_json_holds_the_same(said):
    (card,) = json.loads(said("models", "resnet18", "--json"))["models"]
    assert card["operators"]["Conv"] == 20
    assert sum(stage["macs"] for stage in card["stages"]) == card["macs"]
    assert card["peak_activations_bytes"] == 4 * (64 * 112 * 112 + 64 * 56 * 56)
    assert {"tflite-fp32", "tflite-int8", "ort-fp32", "ort-int8"} == set(card["measured"])
    assert all(weights["preprocess"] for weights in card["weights"])
