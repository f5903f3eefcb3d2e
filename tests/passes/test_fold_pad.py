"""A Pad goes into the operator behind it, where that pads with the same value."""

import numpy as np
import pytest
from pass_graphs import Graph, applied, assert_left_alone, attributes_of, node_of, op_types

from edgekit.passes.fold_pad import fold_pad


def padded(g, *amounts, operands=(), **attributes):
    return g.op("Pad", g.input(1, 2, 6, 6), g.integers(*amounts), *operands, **attributes)


@pytest.mark.parametrize("pads", [None, [0] * 4, [1, 2, 0, 1]])
def test_it_adds_to_the_pads_of_a_convolution(pads):
    g = Graph()
    attributes = {} if pads is None else {"pads": pads}
    model = g.model(g.conv(padded(g, 0, 0, 1, 2, 0, 0, 3, 4), 2, 3, 3, **attributes))
    assert op_types(applied(fold_pad, model)) == ["Conv"]
    own = pads or [0] * 4
    assert attributes_of(node_of(model, "Conv"))["pads"] == (1 + own[0], 2 + own[1], 3 + own[2], 4 + own[3])


def test_a_pad_that_names_its_axes_and_its_zero_folds():
    g = Graph()
    source = padded(g, 1, 2, 3, 4, operands=(g.constant(0.0), g.integers(-1, 2)))
    model = applied(fold_pad, g.model(g.conv(source, 2, 3, 3)))
    assert attributes_of(node_of(model, "Conv"))["pads"] == (2, 1, 4, 3)


def test_a_chain_folds_in_one_run():
    g = Graph()
    twice = g.op("Pad", padded(g, 0, 0, 1, 1, 0, 0, 1, 1), g.integers(0, 0, 0, 1, 0, 0, 0, 1))
    model = applied(fold_pad, g.model(g.conv(twice, 2, 3, 3)))
    assert attributes_of(node_of(model, "Conv"))["pads"] == (1, 2, 1, 2)


@pytest.mark.parametrize("attributes", [{}, {"pads": [0, 1, 0, 1], "count_include_pad": 1}])
def test_an_average_pool_counts_the_padding(attributes):
    g = Graph()
    pooled = g.op("AveragePool", padded(g, 0, 0, 1, 1, 0, 0, 1, 0), kernel_shape=[3, 3], **attributes)
    model = applied(fold_pad, g.model(pooled))
    assert op_types(model) == ["AveragePool"]
    assert attributes_of(node_of(model, "AveragePool"))["count_include_pad"] == 1


def test_a_pool_smaller_than_its_padding_keeps_the_pad():
    g = Graph()
    source = padded(g, 0, 0, 2, 2, 0, 0, 2, 2)
    assert_left_alone(fold_pad, g.model(g.op("AveragePool", source, kernel_shape=[2, 2])))


@pytest.mark.parametrize("lowest", [-np.inf, np.finfo(np.float32).min])
def test_the_lowest_value_before_a_max_pool_is_the_pools_own_padding(lowest):
    g = Graph()
    source = padded(g, 0, 0, 0, 1, 0, 0, 1, 1, operands=(g.constant(lowest),))
    pooled = [g.op("MaxPool", source, kernel_shape=[3, 3], strides=[2, 2]) for _ in range(2)]
    model = applied(fold_pad, g.model(*pooled))
    assert op_types(model) == ["MaxPool", "MaxPool"]
    assert {attributes_of(node)["pads"] for node in model.graph} == {(0, 1, 1, 1)}


SPATIAL = (0, 0, 1, 1, 0, 0, 1, 1)
SKIPPED = {
    "batch": lambda g: g.conv(padded(g, 1, 0, 1, 1, 0, 0, 1, 1), 2, 3),
    "channels": lambda g: g.conv(padded(g, 0, 1, 1, 1, 0, 0, 1, 1), 3, 3),
    "cropped": lambda g: g.conv(padded(g, 0, 0, -1, 1, 0, 0, 1, 1), 2, 3),
    "ones": lambda g: g.conv(padded(g, *SPATIAL, operands=(g.constant(1.0),)), 2, 3),
    "reflected": lambda g: g.conv(padded(g, *SPATIAL, mode="reflect"), 2, 3),
    "computed fill": lambda g: g.conv(padded(g, *SPATIAL, operands=(g.op("ReduceMax", g.input(3), keepdims=0),)), 2, 3),
    "auto_pad": lambda g: g.conv(padded(g, *SPATIAL), 2, 3, 3, auto_pad="SAME_UPPER"),
    "zeros that may win": lambda g: g.op("MaxPool", padded(g, *SPATIAL), kernel_shape=[3, 3]),
    "a window in the padding": lambda g: g.op(
        "MaxPool", padded(g, 0, 0, 2, 2, 0, 0, 2, 2, operands=(g.constant(-np.inf),)), kernel_shape=[2, 2]
    ),
    "rounded up": lambda g: g.op("AveragePool", padded(g, *SPATIAL), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "not counted": lambda g: g.op("AveragePool", padded(g, *SPATIAL), kernel_shape=[3, 3], pads=[1, 0, 0, 0]),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_what_it_skips(name):
    g = Graph()
    assert_left_alone(fold_pad, g.model(SKIPPED[name](g)))


def test_a_padded_value_with_another_reader_is_skipped():
    g = Graph()
    source = padded(g, *SPATIAL)
    assert_left_alone(fold_pad, g.model(g.conv(source, 2, 3), g.op("Relu", source)))
