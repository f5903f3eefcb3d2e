"""HardSwish in operators of integer kernels."""

import numpy as np
import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, assert_same, node_of, op_types, run

from edgekit.passes.decompose_hard_swish import decompose_hard_swish


def test_it_is_mul_add_clip_and_mul():
    g = Graph()
    model = applied(decompose_hard_swish, g.model(g.op("HardSwish", g.input(1, 3, 4, 4))))
    assert op_types(model) == ["Mul", "Add", "Clip", "Mul"]


def test_both_factors_have_the_same_range():
    g = Graph()
    model = applied(decompose_hard_swish, g.model(g.op("HardSwish", g.input(1, 8))))
    low, high = (array_of(value).item() for value in node_of(model, "Clip").inputs[1:])
    assert (low, high) == pytest.approx((0.0, 6**0.5))


def test_it_equals_hard_swish_at_its_corners():
    g = Graph()
    model = g.model(g.op("HardSwish", g.input(1, 7)))
    corners = {"in0": np.array([[-100.0, -3.0, -1.5, 0.0, 3.0, 3.1, 100.0]], np.float32)}
    expected = run(model, corners)
    assert decompose_hard_swish(model)
    assert_same(run(model, corners), expected, tolerance=1e-6)


def test_a_graph_without_one_is_left_alone():
    g = Graph()
    assert_left_alone(decompose_hard_swish, g.model(g.op("HardSigmoid", g.input(1, 3))))
