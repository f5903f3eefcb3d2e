"""The order of a pixel shuffle is the convolution's in front of it."""

import pytest
from pass_graphs import Graph, applied, assert_left_alone, attributes_of, node_of

from edgekit.passes.fold_pixel_shuffle import fold_pixel_shuffle


def shuffled(g, source, **attributes):
    return g.op("DepthToSpace", source, blocksize=2, mode="CRD", **attributes)


def through_relu(g, source):
    return g.op("Relu", source)


def through_scales(g, source):
    return g.op("Mul", source, g.weights(12, 1, 1))


@pytest.mark.parametrize("through", [None, through_relu, through_scales])
def test_the_convolution_writes_its_channels_in_the_order_of_the_kernel(through):
    g = Graph()
    made = g.conv(g.input(1, 4, 5, 5), 4, 12)
    model = g.model(shuffled(g, made if through is None else through(g, made)))
    applied(fold_pixel_shuffle, model)
    assert attributes_of(node_of(model, "DepthToSpace"))["mode"] == "DCR"


def test_channels_that_something_else_reads_keep_their_order():
    g = Graph()
    made = g.conv(g.input(1, 4, 5, 5), 4, 12)
    assert_left_alone(fold_pixel_shuffle, g.model(shuffled(g, made), g.op("Relu", made)))


def test_an_image_keeps_its_order():
    g = Graph()
    assert_left_alone(fold_pixel_shuffle, g.model(shuffled(g, g.input(1, 12, 5, 5))))
