"""Fully connected layers are Gemm with transB=1 and a bias of [N]."""

import numpy as np
import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, attributes_of, op_types

from edgekit.passes.canonicalize_gemm import canonicalize_gemm

K, N = 5, 3


def assert_normal(node):
    assert attributes_of(node) == {"transB": 1}
    assert array_of(node.inputs[1]).shape == (N, K)
    assert array_of(node.inputs[2]).shape == (N,)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", [None, (N,), (1, N), (1,), (1, 1), ()])
@pytest.mark.parametrize("factors", [{}, {"alpha": 0.5}, {"beta": 2.0}, {"alpha": -2.0, "beta": 0.25}])
def test_gemm_loses_its_factors_and_its_layout(batch, transposed, bias, factors):
    g = Graph()
    operands = [g.weights(N, K) if transposed else g.weights(K, N)]
    operands += [g.constant(g.random.normal(size=bias))] if bias is not None else []
    model = g.model(g.op("Gemm", g.input(batch, K), *operands, transB=transposed, **factors))
    if transposed and bias == (N,) and not factors:
        assert_left_alone(canonicalize_gemm, model)
        return
    [gemm] = applied(canonicalize_gemm, model).graph
    assert_normal(gemm)


def test_a_transposed_input_is_transposed_before():
    g = Graph()
    model = applied(canonicalize_gemm, g.model(g.op("Gemm", g.input(K, 2), g.weights(K, N), transA=1)))
    transpose, gemm = model.graph
    assert transpose.op_type == "Transpose"
    assert_normal(gemm)


def test_matmul_by_a_constant_is_gemm_without_offset():
    g = Graph()
    [gemm] = applied(canonicalize_gemm, g.model(g.op("MatMul", g.input(1, K), g.weights(K, N)))).graph
    assert_normal(gemm)
    assert not array_of(gemm.inputs[2]).any()


@pytest.mark.parametrize("op_type", ["MatMul", "Gemm"])
@pytest.mark.parametrize("shape", [(N,), (1, N), (1,), ()])
@pytest.mark.parametrize("swapped", [True, False])
def test_an_added_constant_becomes_the_bias(op_type, shape, swapped):
    g = Graph()
    added, product = g.constant(g.random.normal(size=shape)), g.op(op_type, g.input(2, K), g.weights(K, N))
    summed = g.op("Add", added, product) if swapped else g.op("Add", product, added)
    [gemm] = applied(canonicalize_gemm, g.model(summed)).graph
    assert_normal(gemm)


def test_two_layers_of_one_weight_and_bias_keep_their_own_values():
    g = Graph()
    weights, bias = g.weights(K, N), g.weights(N)
    layers = [g.op("Gemm", g.input(1, K), weights, bias, alpha=alpha, beta=alpha) for alpha in (0.5, 2.0)]
    model = applied(canonicalize_gemm, g.model(*layers))
    first, second = model.graph
    np.testing.assert_allclose(array_of(first.inputs[1]) * 4, array_of(second.inputs[1]))
    np.testing.assert_allclose(array_of(first.inputs[2]) * 4, array_of(second.inputs[2]))


def test_a_constant_per_row_is_not_a_bias():
    g = Graph()
    product = g.op("Gemm", g.input(N, K), g.weights(N, K), g.weights(N), transB=1)
    assert_left_alone(canonicalize_gemm, g.model(g.op("Add", product, g.weights(N, 1))))


def test_an_addition_that_broadcasts_or_whose_input_is_read_elsewhere_stays():
    g = Graph()
    one = g.op("Gemm", g.input(1, K), g.weights(N, K), g.weights(N), transB=1)
    two = g.op("Gemm", g.input(1, K), g.weights(N, K), g.weights(N), transB=1)
    outputs = g.op("Add", one, g.weights(4, 1)), g.op("Add", two, g.weights(N)), two
    assert_left_alone(canonicalize_gemm, g.model(*outputs))


def test_operands_that_are_computed_and_higher_ranks_are_skipped():
    g = Graph()
    x, computed = g.input(1, K), g.op("Relu", g.input(K, N))
    outputs = [
        g.op("MatMul", x, computed),
        g.op("Gemm", x, computed),
        g.op("Gemm", x, g.weights(K, N), g.op("Relu", g.input(N))),
        g.op("Gemm", g.input(2, K), g.weights(K, N), g.weights(2, N)),
        g.op("MatMul", g.input(1, 4, K), g.weights(K, N)),
    ]
    model = g.model(*outputs)
    before = op_types(model)
    assert_left_alone(canonicalize_gemm, model)
    assert op_types(model) == before
