"""Layer normalisation is one node."""

import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, attributes_of, node_of, op_types

from edgekit.passes.fuse_layer_norm import fuse_layer_norm

EPSILON = 1e-5


def normalized(g, x, axes=(-1,), square="Mul", keepdims=1, epsilon_first=False):
    """((x - mean) / sqrt(var + eps), the values in between)."""
    mean = g.op("ReduceMean", x, g.integers(*axes))
    difference = g.op("Sub", x, mean)
    power = g.op("Mul", difference, difference) if square == "Mul" else g.op("Pow", difference, g.constant(square))
    variance = g.op("ReduceMean", power, g.integers(*axes), keepdims=keepdims)
    terms = (g.constant(EPSILON), variance) if epsilon_first else (variance, g.constant(EPSILON))
    deviation = g.op("Sqrt", g.op("Add", *terms))
    return g.op("Div", difference, deviation), {"mean": mean, "difference": difference, "deviation": deviation}


@pytest.mark.parametrize(("axes", "size"), [((-1,), (6,)), ((2, 1), (4, 6))])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("square", ["Mul", 2.0])
def test_its_arithmetic_is_one_node(axes, size, scaled, shifted, square):
    g = Graph()
    y, _ = normalized(g, g.op("Neg", g.input(1, 4, 6)), axes, square)
    y = g.op("Mul", g.weights(*size), y) if scaled else y
    y = g.op("Add", y, g.weights(*size)) if shifted else y
    model = applied(fuse_layer_norm, g.model(g.op("Relu", y)))
    assert op_types(model) == ["Neg", "LayerNormalization", "Relu"]
    node = node_of(model, "LayerNormalization")
    assert attributes_of(node) == pytest.approx({"axis": 3 - len(size), "epsilon": EPSILON})
    assert array_of(node.inputs[1]).shape == size
    assert len(node.inputs) == 2 + shifted


def test_epsilon_may_stand_first():
    g = Graph()
    y, _ = normalized(g, g.input(1, 4, 6), epsilon_first=True)
    assert op_types(applied(fuse_layer_norm, g.model(y))) == ["LayerNormalization"]


def test_a_factor_of_another_shape_stays_behind():
    g = Graph()
    y, _ = normalized(g, g.input(1, 4, 6))
    model = applied(fuse_layer_norm, g.model(g.op("Mul", y, g.weights(4, 1))))
    assert op_types(model) == ["LayerNormalization", "Mul"]


@pytest.mark.parametrize("axes", [(1,), (0, 2)])
def test_a_mean_over_other_axes_stays(axes):
    g = Graph()
    assert_left_alone(fuse_layer_norm, g.model(normalized(g, g.input(2, 4, 6), axes)[0]))


def test_another_power_stays():
    g = Graph()
    assert_left_alone(fuse_layer_norm, g.model(normalized(g, g.input(1, 4, 6), square=4.0)[0]))


def test_a_variance_that_drops_its_axis_stays():
    g = Graph()
    assert_left_alone(fuse_layer_norm, g.model(normalized(g, g.input(6, 6), keepdims=0)[0]))


@pytest.mark.parametrize("value", ["mean", "difference", "deviation"])
def test_a_value_in_between_with_another_reader_stays(value):
    g = Graph()
    y, between = normalized(g, g.input(1, 4, 6))
    assert_left_alone(fuse_layer_norm, g.model(y, between[value]))
