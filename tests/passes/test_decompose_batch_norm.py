"""A BatchNormalization that cannot fold is written as Mul and Add."""

import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, node_of, op_types

from edgekit.passes.decompose_batch_norm import decompose_batch_norm


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (1, 3, 5), (2, 3)])
@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
def test_it_is_mul_and_add_per_channel(shape, epsilon):
    g = Graph()
    model = applied(decompose_batch_norm, g.model(g.batch_norm(g.input(*shape), 3, epsilon=epsilon)))
    assert op_types(model) == ["Mul", "Add"]
    assert array_of(node_of(model, "Mul").inputs[1]).shape == (3, *[1] * (len(shape) - 2))


def test_statistics_that_are_computed_and_training_are_skipped():
    g = Graph()
    x, computed = g.input(1, 3, 4, 4), g.op("Relu", g.input(3))
    constants = [g.constant([1.0] * 3) for _ in range(4)]
    given = g.op("BatchNormalization", x, *constants[:3], computed)
    training = g.several("BatchNormalization", 3, x, *constants, training_mode=1)[0]
    assert_left_alone(decompose_batch_norm, g.model(given, training))
