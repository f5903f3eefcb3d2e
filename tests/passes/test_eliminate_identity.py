"""Nodes that change nothing go."""

import pytest
from onnx import TensorProto
from pass_graphs import Graph, applied, assert_left_alone, op_types

from edgekit.passes.eliminate_identity import eliminate_identity

NEUTRAL = {
    "Identity": lambda g, x: g.op("Identity", x),
    "Dropout": lambda g, x: g.op("Dropout", x, g.constant(0.5)),
    "Dropout outside training": lambda g, x: g.op("Dropout", x, g.constant(0.5), g.constant(False, "bool")),
    "Cast": lambda g, x: g.op("Cast", x, to=TensorProto.FLOAT),
    "CastLike": lambda g, x: g.op("CastLike", x, g.constant(1.0)),
    "Pad": lambda g, x: g.op("Pad", x, g.integers(0, 0, 0, 0)),
    "Transpose": lambda g, x: g.op("Transpose", x, perm=[0, 1]),
    "Expand": lambda g, x: g.op("Expand", x, g.integers(2, 1)),
    "Reshape": lambda g, x: g.op("Reshape", x, g.integers(0, -1)),
    "Slice": lambda g, x: g.op("Slice", x, g.integers(0), g.integers(9), g.integers(1)),
    "Concat": lambda g, x: g.op("Concat", x, axis=1),
    "Sum": lambda g, x: g.op("Sum", x),
    "x + 0": lambda g, x: g.op("Add", x, g.constant(0.0)),
    "0 + x": lambda g, x: g.op("Add", g.constant([0.0]), x),
    "x - 0": lambda g, x: g.op("Sub", x, g.constant([[0.0]])),
    "x * 1": lambda g, x: g.op("Mul", x, g.constant(1.0)),
    "1 * x": lambda g, x: g.op("Mul", g.constant(1.0), x),
    "x / 1": lambda g, x: g.op("Div", x, g.constant(1.0)),
}

EFFECTIVE = {
    "0 - x": lambda g, x: g.op("Sub", g.constant(0.0), x),
    "1 / x": lambda g, x: g.op("Div", g.constant(1.0), x),
    "x + 0 of higher rank": lambda g, x: g.op("Add", x, g.constant([[[0.0]]])),
    "x * [1, 1]": lambda g, x: g.op("Mul", x, g.constant([[[1.0]], [[1.0]]])),
    "Pad": lambda g, x: g.op("Pad", x, g.integers(0, 0, 0, 1)),
    "Transpose": lambda g, x: g.op("Transpose", x),
    "Cast": lambda g, x: g.op("Cast", x, to=TensorProto.FLOAT16),
    "reversed": lambda g, x: g.op("Slice", x, g.integers(-1), g.integers(-9), g.integers(1), g.integers(-1)),
    "Concat": lambda g, x: g.op("Concat", x, x, axis=1),
}


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
def test_a_pool_of_single_pixels_goes_unless_it_skips_some(op_type):
    g = Graph()
    x = g.op("Neg", g.input(1, 2, 3, 3))
    pooled = g.op(op_type, x, kernel_shape=[1, 1])
    assert op_types(applied(eliminate_identity, g.model(g.op("Relu", pooled)))) == ["Neg", "Relu"]
    g = Graph()
    options = {"kernel_shape": [1, 1], "strides": [2, 2]}
    assert_left_alone(eliminate_identity, g.model(g.op(op_type, g.input(1, 2, 3, 3), **options)))


@pytest.mark.parametrize("name", NEUTRAL)
def test_what_changes_nothing_goes(name):
    g = Graph()
    kept = g.op("Relu", NEUTRAL[name](g, g.op("Neg", g.input(2, 3))))
    assert op_types(applied(eliminate_identity, g.model(kept))) == ["Neg", "Relu"]


@pytest.mark.parametrize("name", EFFECTIVE)
def test_what_changes_something_stays(name):
    g = Graph()
    assert_left_alone(eliminate_identity, g.model(EFFECTIVE[name](g, g.input(2, 3))))


def test_the_graph_output_keeps_its_name():
    g = Graph()
    x = g.op("Neg", g.input(2, 3))
    model = applied(eliminate_identity, g.model(g.op("Identity", g.op("Identity", x)), g.op("Relu", x)))
    assert [output.name for output in model.graph.outputs] == ["identity2.0", "relu3.0"]
    assert op_types(model) == ["Neg", "Relu"]


def test_an_input_or_a_second_output_handed_through_stays():
    g = Graph()
    handed = g.op("Identity", g.input(2, 3))
    result = g.op("Neg", g.input(2, 3))
    assert_left_alone(eliminate_identity, g.model(handed, result, g.op("Identity", result)))


def test_a_dropout_that_trains_or_whose_mask_is_read_stays():
    g = Graph()
    x = g.op("Neg", g.input(2, 3))
    trains = g.op("Dropout", x, g.constant(0.5), g.constant(True, "bool"))
    kept, mask = g.several("Dropout", 2, x)
    assert_left_alone(eliminate_identity, g.model(trains, kept, mask))
