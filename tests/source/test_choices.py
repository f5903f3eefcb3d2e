"""What a recipe may choose about a model's input, and what a module says to it."""

from dataclasses import replace

import pytest
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe
from edgekit.registry import Preprocess
from edgekit.source.choices import (
    chosen_preprocess,
    chosen_size,
    input_shape,
    preprocess_for,
    refuse_weight_options,
    unsaid,
)
from edgekit.source.input_size import check_minimum, fitting, run_on_zeros


def recipe(**choices):
    return make_recipe(model="m", targets=("t",), **choices)


def refused(call, code):
    with pytest.raises(EdgekitError) as raised:
        call()
    assert raised.value.code == code
    return raised.value


def test_the_input_size_scales_the_margin_around_the_crop():
    found = chosen_preprocess(recipe(input_size="112x160"), Preprocess())
    assert (found.crop, found.resize) == ((112, 160), 128)
    assert chosen_preprocess(recipe(), Preprocess(resize=232)) == Preprocess(resize=232)
    assert chosen_preprocess(recipe(input_size=224), Preprocess(resize=232)) == Preprocess(resize=232)


def test_the_recipes_table_goes_before_what_the_weights_say():
    table = {"resize": 40, "crop": (32, 32), "mean": (0.5,), "std": (0.5,)}
    found = chosen_preprocess(recipe(preprocess=table), Preprocess())
    assert (found.resize, found.mean) == (40, (0.5,))
    assert input_shape(found) == (1, 1, 32, 32)


def test_the_size_comes_from_the_option_then_from_the_table_then_from_nowhere():
    table = {"crop": (32, 48)}
    assert chosen_size(recipe(input_size=64, preprocess=table)) == (64, 64)
    assert chosen_size(recipe(preprocess=table)) == (32, 48)
    assert chosen_size(recipe()) is None


def test_a_file_that_says_nothing_is_fed_as_imagenet_or_0_to_1_for_grey():
    colour = preprocess_for(recipe(), (1, 3, 96, 96), "net.onnx")
    assert (colour.crop, colour.mean, colour.labels) == ((96, 96), Preprocess().mean, None)
    grey = preprocess_for(recipe(), (1, 1, 28, 28), "net.onnx")
    assert (grey.mean, grey.std, grey.crop) == ((0.0,), (1.0,), (28, 28))


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_another_number_of_channels_is_fed_pixels_as_they_are(channels):
    found = preprocess_for(recipe(), (1, channels, 8, 8), "net.onnx")
    assert (found.mean, found.std, found.labels) == ((0.0,) * channels, (1.0,) * channels, None)


@pytest.mark.parametrize("channels", [1, 4])
def test_a_table_for_another_number_of_channels_is_refused(channels):
    table = {"mean": (0.5, 0.5, 0.5), "std": (1, 1, 1)}
    error = refused(lambda: preprocess_for(recipe(preprocess=table), (1, channels, 8, 8), "net.onnx"), "EK203")
    assert f"takes {channels} channels, the preprocessing gives 3" in error.what
    assert error.where == "net.onnx"
    assert "--mean and --std" in error.fix


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_a_module_that_says_nothing_is_fed_as_many_channels_as_its_first_layer_takes(channels):
    net = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 8, 3), nn.Conv2d(8, 2, 1))
    found = fitting(net, unsaid(3))
    assert len(found.mean) == channels
    assert (found.mean == (0.0,) * channels) == (channels != 3)
    assert fitting(nn.Flatten(), unsaid(3)) == replace(Preprocess(), labels=None)


@pytest.mark.parametrize(
    ("choices", "where"),
    [
        ({"weights": "random"}, "--weights"),
        ({"num_classes": 5}, "--num-classes"),
        ({"model_args": {"width": 0.5}, "num_classes": 5}, "--num-classes, model_args"),
    ],
)
def test_a_finished_file_takes_no_weights_and_no_classes(choices, where):
    refuse_weight_options(recipe(), "an ONNX file")
    assert refused(lambda: refuse_weight_options(recipe(**choices), "an ONNX file"), "EK106").where == where


def test_less_than_the_smallest_input_is_refused_with_the_smallest():
    check_minimum((1, 3, 32, 64), 32, "net")
    assert refused(lambda: check_minimum((1, 3, 64, 31), 32, "net"), "EK203").fix == "--input-size 32 or more"


def test_a_module_is_tried_on_zeros_and_tells_its_classes():
    (scores,) = run_on_zeros(nn.Sequential(nn.Flatten(), nn.Linear(12, 7)), (1, 3, 2, 2), "net")
    assert (scores.name, scores.shape, scores.classes) == ("output", (1, 7), 7)
    (maps,) = run_on_zeros(nn.Conv2d(3, 8, 1), (1, 3, 4, 4), "net")
    assert (maps.shape, maps.classes) == ((1, 8, 4, 4), None)


def test_a_size_that_the_module_cannot_take_is_refused_with_its_own_reason():
    error = refused(lambda: run_on_zeros(nn.Conv2d(3, 8, 5), (1, 3, 4, 4), "net.py:make"), "EK203")
    assert "an input of 1x3x4x4" in error.what
    assert "Kernel size" in error.what
    assert "--input-size" in error.fix


class Returns(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x)


def test_every_output_is_told():
    two = Returns(lambda x: {"map": x, "means": x.mean((2, 3))})
    assert [(output.name, output.classes) for output in run_on_zeros(two, (1, 3, 4, 4), "net")] == [
        ("map", None),
        ("means", 3),
    ]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: {"logits": 1.0}, "a float"),
        (lambda x: "x", "a str"),
        (lambda x: None, "nothing"),
        (lambda x: [], "nothing"),
    ],
)
def test_something_else_than_tensors_is_refused_by_its_type(make, said):
    error = refused(lambda: run_on_zeros(Returns(make), (1, 3, 4, 4), "net"), "EK201")
    assert said in error.what
