"""A depthwise convolution with a large window becomes a sum of dilated ones."""

import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, attributes_of, op_types

from edgekit.passes import prepare_integer, simplify
from edgekit.passes.split_depthwise import MOST_TAPS, split_depthwise


def depthwise(kernel, channels=4, **attributes):
    g = Graph()
    return g.model(g.conv(g.input(1, channels, 15, 14), channels, channels, kernel, group=channels, **attributes))


def convolutions(model):
    return [node for node in model.graph if node.op_type == "Conv"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [3, 3, 3, 3]},
        {"pads": [2, 2, 3, 3], "strides": [2, 2]},
        {"pads": [3, 0, 2, 1], "strides": [2, 1]},
        {"pads": [6, 6, 6, 6], "dilations": [2, 2]},
        {"pads": [3, 3, 3, 3], "bias": False},
    ],
)
def test_seven_rows_are_three_windows(attributes):
    model = applied(split_depthwise, depthwise(7, **attributes))
    assert op_types(model) == ["Conv", "Conv", "Conv", "Add", "Add"]
    assert [attributes_of(node)["kernel_shape"] for node in convolutions(model)] == [(3, 7), (2, 7), (2, 7)]


@pytest.mark.parametrize("kernel", [6, 7, 9, 11, 13])
def test_every_part_has_a_kernel_of_its_own(kernel):
    model = applied(split_depthwise, depthwise(kernel, pads=[kernel - 1] * 4))
    parts = [array_of(node.inputs[1]) for node in convolutions(model)]
    assert sum(part[0, 0].size for part in parts) == kernel**2
    assert all(part[0, 0].size <= MOST_TAPS for part in parts)


def test_the_bias_is_added_once():
    first, *others = convolutions(applied(split_depthwise, depthwise(7, pads=[3] * 4)))
    assert array_of(first.inputs[2]).any()
    assert not any(array_of(node.inputs[2]).any() for node in others)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(lambda: depthwise(5, pads=[2] * 4), id="a window that has a kernel"),
        pytest.param(lambda: depthwise(7, pads=[1, 3, 3, 3]), id="too little padding above"),
        pytest.param(lambda: depthwise(7, pads=[3, 3, 1, 3]), id="too little padding below"),
        pytest.param(lambda: depthwise(7, channels=1, pads=[3] * 4), id="one channel, which has a kernel of its own"),
    ],
)
def test_it_leaves_the_rest_alone(model):
    assert_left_alone(split_depthwise, model())


def test_a_dense_convolution_is_left_alone():
    g = Graph()
    assert_left_alone(split_depthwise, g.model(g.conv(g.input(1, 4, 9, 9), 4, 4, 7, pads=[3] * 4)))


def test_a_factor_behind_it_is_folded_before_it_is_split():
    g = Graph()
    activated = g.op("HardSwish", g.conv(g.input(1, 4, 9, 9), 4, 4, 7, group=4, pads=[3] * 4))
    model = prepare_integer(simplify(g.model(activated)))
    assert op_types(model) == ["Conv", "Conv", "Conv", "Add", "Add", "Add", "Clip", "Mul"]
