"""Means over a whole feature map are GlobalAveragePool."""

import pytest
from pass_graphs import Graph, applied, assert_left_alone, op_types

from edgekit.passes.canonicalize_reduce_mean import canonicalize_reduce_mean


@pytest.mark.parametrize("axes", [(2, 3), (-1, -2), (3, 2)])
def test_a_mean_over_the_map_is_a_pool(axes):
    g = Graph()
    model = applied(canonicalize_reduce_mean, g.model(g.op("ReduceMean", g.input(1, 3, 4, 5), g.integers(*axes))))
    assert op_types(model) == ["GlobalAveragePool"]


def test_a_mean_that_drops_the_axes_adds_a_reshape():
    g = Graph()
    mean = g.op("ReduceMean", g.input(1, 3, 4, 5), g.integers(2, 3), keepdims=0)
    assert op_types(applied(canonicalize_reduce_mean, g.model(mean))) == ["GlobalAveragePool", "Reshape"]


def test_the_attribute_of_older_opsets_is_read():
    g = Graph()
    model = g.model(g.op("ReduceMean", g.input(1, 3, 4, 5), axes=[2, 3]), opset=17)
    assert op_types(applied(canonicalize_reduce_mean, model)) == ["GlobalAveragePool"]


@pytest.mark.parametrize("attributes", [{}, {"pads": [0] * 4}, {"ceil_mode": 1}, {"strides": [2, 2]}])
def test_a_pool_as_large_as_the_map_is_global(attributes):
    g = Graph()
    pool = g.op("AveragePool", g.input(1, 3, 4, 5), kernel_shape=[4, 5], **attributes)
    assert op_types(applied(canonicalize_reduce_mean, g.model(pool))) == ["GlobalAveragePool"]


def test_smaller_and_padded_pools_stay():
    g = Graph()
    x = g.input(1, 3, 4, 4)
    padded = {"kernel_shape": [4, 4], "pads": [0, 0, 1, 1], "strides": [2, 2]}
    outputs = [
        g.op("AveragePool", x, kernel_shape=[3, 4]),
        g.op("AveragePool", x, **padded),
        g.op("AveragePool", x, **padded, count_include_pad=1),
    ]
    assert_left_alone(canonicalize_reduce_mean, g.model(*outputs))


def test_other_axes_and_ranks_stay():
    g = Graph()
    x = g.input(1, 3, 4, 5)
    outputs = [
        g.op("ReduceMean", x, g.integers(1)),
        g.op("ReduceMean", x, g.integers(1, 2, 3)),
        g.op("ReduceMean", x),
        g.op("ReduceMean", g.input(2, 3, 4), g.integers(1, 2)),
    ]
    assert_left_alone(canonicalize_reduce_mean, g.model(*outputs))
