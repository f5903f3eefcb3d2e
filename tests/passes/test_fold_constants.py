"""What does not depend on the input is computed once."""

import numpy as np
import onnx_ir as ir
from pass_graphs import Graph, applied, array_of, assert_left_alone, node_of, op_types

from edgekit.passes.fold_constants import fold_constants


def test_a_chain_of_constants_becomes_an_initializer():
    g = Graph()
    weights = g.op("Transpose", g.op("Mul", g.weights(3, 5), g.constant(2.0)), perm=[1, 0])
    model = applied(fold_constants, g.model(g.op("MatMul", g.input(2, 5), weights)))
    assert op_types(model) == ["MatMul"]
    assert array_of(node_of(model, "MatMul").inputs[1]).shape == (5, 3)


def test_the_shape_of_a_static_value_is_known():
    g = Graph()
    x = g.input(2, 3, 4)
    batch = g.op("Gather", g.op("Shape", x), g.integers(0))
    target = g.op("Concat", batch, g.integers(-1), axis=0)
    model = applied(fold_constants, g.model(g.op("Reshape", g.op("Relu", x), target)))
    assert op_types(model) == ["Relu", "Reshape"]
    assert array_of(node_of(model, "Reshape").inputs[1]).tolist() == [2, -1]


def test_large_weights_are_folded_too():
    g = Graph()
    weights = g.op("Transpose", g.constant(np.ones((600, 700))), perm=[1, 0])
    assert op_types(applied(fold_constants, g.model(g.op("MatMul", g.input(1, 700), weights)))) == ["MatMul"]


def test_a_constant_that_is_a_graph_output_stays_one():
    g = Graph()
    doubled = g.op("Mul", g.constant([1.0, 2.0]), g.constant(2.0))
    model = g.model(g.op("Add", g.input(2), doubled), doubled)
    fold_constants(model)
    assert [output.name for output in model.graph.outputs] == ["add1.0", "mul0.0"]


def test_a_constant_has_the_shape_that_it_has_whatever_was_known_of_the_operator():
    g = Graph()
    rows = g.op("Unsqueeze", g.op("Range", *(g.constant(number, "int64") for number in (0, 3, 1))), g.integers(1))
    model = g.model(g.op("Gather", g.input(1, 4), rows, axis=1))
    for node in model.graph:
        if node.op_type == "Unsqueeze":
            node.outputs[0].shape = ir.Shape(["rows", 1])
    fold_constants(model)
    [indices] = [value for value in model.graph.initializers.values() if value.uses()]
    assert list(indices.shape) == [3, 1]


def test_a_quantized_weight_is_not_unpacked():
    g = Graph()
    weights = g.op("DequantizeLinear", g.constant([[1], [2]], "int8"), g.constant(0.5))
    assert_left_alone(fold_constants, g.model(g.op("MatMul", g.input(1, 2), weights)))


def test_what_depends_on_the_input_stays():
    g = Graph()
    assert_left_alone(fold_constants, g.model(g.op("Mul", g.input(2), g.constant(2.0))))
