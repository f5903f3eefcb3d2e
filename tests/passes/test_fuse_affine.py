"""A factor and an offset per channel of a map become a depthwise convolution."""

import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, attributes_of, node_of, op_types

from edgekit.passes.fuse_affine import fuse_affine


@pytest.mark.parametrize("factor", ["Mul", "Div"])
@pytest.mark.parametrize("offset", ["Add", "Sub"])
@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1)])
def test_it_is_one_depthwise_convolution(factor, offset, shape):
    g = Graph()
    scaled = g.op(factor, g.input(2, 4, 3, 5), g.constant(g.random.uniform(0.5, 2.0, shape)))
    model = applied(fuse_affine, g.model(g.op("Relu", g.op(offset, scaled, g.weights(*shape)))))
    assert op_types(model) == ["Conv", "Relu"]
    node = node_of(model, "Conv")
    assert attributes_of(node)["group"] == 4
    assert array_of(node.inputs[1]).shape == (4, 1, 1, 1)


def test_the_constants_may_stand_first_and_the_offset_be_one_number():
    g = Graph()
    scaled = g.op("Mul", g.weights(4, 1, 1), g.input(1, 4, 3, 3))
    assert op_types(applied(fuse_affine, g.model(g.op("Sub", g.constant(2.0), scaled)))) == ["Conv"]


def image(g):
    return g.input(1, 4, 3, 3)


SKIPPED = {
    "a factor that is one number": lambda g: g.op("Add", g.op("Mul", image(g), g.constant(2.0)), g.weights(4, 1, 1)),
    "a factor alone": lambda g: g.op("Mul", image(g), g.weights(4, 1, 1)),
    "an offset alone": lambda g: g.op("Add", image(g), g.weights(4, 1, 1)),
    "over pixels": lambda g: g.op("Add", g.op("Mul", image(g), g.weights(3)), g.weights(4, 1, 1)),
    "a row": lambda g: g.op("Add", g.op("Mul", g.input(1, 4), g.weights(4)), g.weights(4)),
    "a gate": lambda g: g.op("Add", g.op("Mul", image(g), g.input(1, 4, 1, 1)), g.weights(4, 1, 1)),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_what_it_skips(name):
    g = Graph()
    assert_left_alone(fuse_affine, g.model(SKIPPED[name](g)))


def test_a_product_that_something_else_reads_is_skipped():
    g = Graph()
    scaled = g.op("Mul", image(g), g.weights(4, 1, 1))
    assert_left_alone(fuse_affine, g.model(g.op("Add", scaled, g.weights(4, 1, 1)), g.op("Relu", scaled)))
