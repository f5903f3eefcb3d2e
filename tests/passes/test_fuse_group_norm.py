"""Group normalisation is one node."""

import numpy as np
import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, attributes_of, node_of, op_types

from edgekit.passes.fold_affine import fold_affine
from edgekit.passes.fuse_group_norm import fuse_group_norm


def normalized(g, x, rows, shape):
    """(as PyTorch's exporter writes it, the values in between)."""
    flat = g.op("Reshape", x, g.integers(*rows))
    norm = g.op("InstanceNormalization", flat, g.weights(rows[1]), g.weights(rows[1]), epsilon=0.1)
    return g.op("Reshape", norm, g.integers(*shape)), {"flat": flat, "norm": norm}


@pytest.mark.parametrize("shape", [(1, 6, 4, 5), (2, 6, 7)])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_its_reshapes_become_one_node(shape, groups):
    g = Graph()
    y, _ = normalized(g, g.op("Neg", g.input(*shape)), (shape[0], groups, -1), shape)
    model = applied(fuse_group_norm, g.model(g.op("Relu", y)))
    assert op_types(model) == ["Neg", "GroupNormalization", "Relu"]
    node = node_of(model, "GroupNormalization")
    assert attributes_of(node) == pytest.approx({"num_groups": groups, "epsilon": 0.1})
    scale = array_of(node.inputs[1])
    assert scale.shape == (6,)
    assert len(np.unique(scale)) == groups


def test_what_follows_channel_by_channel_folds_into_it():
    g = Graph()
    y, _ = normalized(g, g.input(1, 6, 4, 5), (1, 2, -1), (1, 6, 4, 5))
    y = g.op("Add", g.op("Mul", y, g.weights(6, 1, 1)), g.weights(1, 6, 1, 1))
    model = applied(fold_affine, applied(fuse_group_norm, g.model(y)))
    assert op_types(model) == ["GroupNormalization"]


@pytest.mark.parametrize("rows", [(1, 4, 30), (1, 12, 10)])
def test_rows_across_channels_stay(rows):
    g = Graph()
    assert_left_alone(fuse_group_norm, g.model(normalized(g, g.input(1, 6, 4, 5), rows, (1, 6, 4, 5))[0]))


def test_another_shape_behind_it_stays():
    g = Graph()
    assert_left_alone(fuse_group_norm, g.model(normalized(g, g.input(1, 6, 4, 5), (1, 2, -1), (1, 6, 5, 4))[0]))


@pytest.mark.parametrize("value", ["flat", "norm"])
def test_a_value_in_between_with_another_use_stays(value):
    g = Graph()
    y, between = normalized(g, g.input(1, 6, 4, 5), (1, 2, -1), (1, 6, 4, 5))
    assert_left_alone(fuse_group_norm, g.model(y, between[value]))
