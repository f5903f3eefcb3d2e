"""A constant matrix goes into the linear layer that reads its product flattened."""

import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, node_of, op_types

from edgekit.passes.fold_matmul import fold_matmul


def linear(g, product, inputs, batch=1, **attributes):
    flat = g.op("Reshape", product, g.integers(batch, inputs))
    weight = g.weights(5, inputs) if attributes.get("transB", 1) else g.weights(inputs, 5)
    return g.op("Gemm", flat, weight, g.weights(5), **{"transB": 1, **attributes})


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
def test_the_layer_reads_what_the_product_was_made_of(batch, shape):
    g = Graph()
    rows = 3 if len(shape) == 2 else 6
    product = g.op("MatMul", g.input(batch, *shape), g.weights(4, 9))
    model = applied(fold_matmul, g.model(linear(g, product, rows * 9, batch)))
    assert op_types(model) == ["Reshape", "Gemm"]
    assert array_of(node_of(model, "Gemm").inputs[1]).shape == (5, rows * 4)


def test_a_matrix_that_shrinks_its_input_is_left_alone():
    g = Graph()
    product = g.op("MatMul", g.input(1, 3, 9), g.weights(9, 4))
    assert_left_alone(fold_matmul, g.model(linear(g, product, 12)))


def test_a_product_with_another_reader_is_left_alone():
    g = Graph()
    product = g.op("MatMul", g.input(1, 3, 4), g.weights(4, 9))
    assert_left_alone(fold_matmul, g.model(linear(g, product, 27), g.op("Relu", product)))


def test_a_product_of_two_inputs_is_left_alone():
    g = Graph()
    product = g.op("MatMul", g.input(1, 3, 4), g.input(4, 9))
    assert_left_alone(fold_matmul, g.model(linear(g, product, 27)))


def test_rows_that_are_not_flattened_one_by_one_are_left_alone():
    g = Graph()
    product = g.op("MatMul", g.input(2, 3, 4), g.weights(4, 9))
    assert_left_alone(fold_matmul, g.model(linear(g, product, 54)))


def test_a_weight_with_inputs_first_is_left_to_its_canonical_form():
    g = Graph()
    product = g.op("MatMul", g.input(1, 3, 4), g.weights(4, 9))
    assert_left_alone(fold_matmul, g.model(linear(g, product, 27, transB=0)))
