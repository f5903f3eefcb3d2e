"""HardSigmoid in operators of integer kernels."""

import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, node_of, op_types

from edgekit.passes.decompose_hard_sigmoid import decompose_hard_sigmoid


@pytest.mark.parametrize("attributes", [{}, {"alpha": 1 / 6, "beta": 0.5}, {"alpha": -0.3, "beta": 0.1}])
def test_it_is_mul_add_and_clip(attributes):
    g = Graph()
    model = applied(decompose_hard_sigmoid, g.model(g.op("HardSigmoid", g.input(1, 3, 4, 4), **attributes)))
    assert op_types(model) == ["Mul", "Add", "Clip"]
    assert [array_of(value).tolist() for value in node_of(model, "Clip").inputs[1:]] == [0.0, 1.0]


def test_a_graph_without_one_is_left_alone():
    g = Graph()
    assert_left_alone(decompose_hard_sigmoid, g.model(g.op("Sigmoid", g.input(1, 3))))
