"""Lengths and reciprocals in operators that every target has."""

import pytest
from pass_graphs import Graph, applied, op_types

from edgekit.passes.decompose_norm import decompose_norm


@pytest.mark.parametrize("attributes", [{}, {"keepdims": 0}])
def test_a_length_is_the_root_of_a_sum_of_squares(attributes):
    g = Graph()
    model = g.model(g.op("ReduceL2", g.input(1, 8, 3), g.integers(1), **attributes))
    assert op_types(applied(decompose_norm, model)) == ["Mul", "ReduceSum", "Sqrt"]


def test_a_reciprocal_is_a_quotient():
    g = Graph()
    assert op_types(applied(decompose_norm, g.model(g.op("Reciprocal", g.input(1, 8))))) == ["Div"]


def test_a_reciprocal_of_a_root_is_a_power():
    g = Graph()
    squares = g.op("Exp", g.input(1, 8))
    model = applied(decompose_norm, g.model(g.op("Reciprocal", g.op("Sqrt", squares))))
    assert op_types(model) == ["Exp", "Pow"]


def test_a_root_that_is_read_elsewhere_stays():
    g = Graph()
    root = g.op("Sqrt", g.op("Exp", g.input(1, 8)))
    model = applied(decompose_norm, g.model(g.op("Reciprocal", root), g.op("Relu", root)))
    assert sorted(op_types(model)) == ["Div", "Exp", "Relu", "Sqrt"]
