"""Windows over signals become windows over images."""

import pytest
from pass_graphs import Graph, applied, assert_left_alone, attributes_of, node_of, op_types

from edgekit.passes import simplify
from edgekit.passes.widen_windows import widen_windows


@pytest.mark.parametrize(
    "attributes",
    [{}, {"pads": [1, 2]}, {"strides": [2], "pads": [2, 0]}, {"dilations": [2]}, {"group": 2}, {"kernel_shape": [3]}],
)
def test_a_convolution_over_a_signal(attributes):
    g = Graph()
    weights = g.weights(6, 4 // attributes.get("group", 1), 3)
    model = applied(widen_windows, g.model(g.op("Conv", g.input(1, 4, 11), weights, g.weights(6), **attributes)))
    assert op_types(model) == ["Reshape", "Conv", "Reshape"]
    assert attributes_of(node_of(model, "Conv")).get("group", 1) == attributes.get("group", 1)


@pytest.mark.parametrize("pool", ["MaxPool", "AveragePool"])
def test_a_pool_over_a_signal(pool):
    g = Graph()
    model = g.model(g.op(pool, g.input(1, 4, 11), kernel_shape=[3], strides=[2], pads=[1, 0]))
    assert op_types(applied(widen_windows, model)) == ["Reshape", pool, "Reshape"]


def test_images_and_volumes_are_left_alone():
    g = Graph()
    image = g.conv(g.input(1, 4, 5, 5), 4, 4, 3)
    volume = g.op("MaxPool", g.input(1, 4, 5, 5, 5), kernel_shape=[2, 2, 2])
    assert_left_alone(widen_windows, g.model(image, volume))


def test_channel_attention_is_a_convolution_over_an_image():
    g = Graph()
    x = g.input(1, 8, 6, 6)
    line = g.op("Reshape", g.op("GlobalAveragePool", x), g.integers(1, 1, 8))
    gate = g.op("Sigmoid", g.op("Conv", line, g.weights(1, 1, 3), pads=[1, 1]))
    model = simplify(g.model(g.op("Mul", x, g.op("Reshape", gate, g.integers(1, 8, 1, 1)))))
    assert attributes_of(node_of(model, "Conv"))["kernel_shape"] == (1, 3)
