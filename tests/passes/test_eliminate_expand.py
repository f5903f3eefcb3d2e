"""Copies along axes are left to operators that broadcast."""

import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, op_types

from edgekit.passes import simplify
from edgekit.passes.eliminate_expand import eliminate_expand


def gated(combine="Mul", *, kept=False):
    """A map and its gate, expanded to the map's size."""
    g = Graph()
    x = g.input(1, 4, 5, 6)
    gate = g.op("Expand", g.op("GlobalAveragePool", x), g.integers(1, 4, 5, 6))
    return g.model(g.op(combine, x, gate), *([gate] if kept else []))


def copied(op_type, shape, argument, then="Relu"):
    g = Graph()
    return g.model(g.op(then, g.op(op_type, g.input(*shape), g.integers(*argument))))


@pytest.mark.parametrize("combine", ["Add", "Sub", "Mul", "Div", "Min"])
def test_what_broadcasts_reads_the_value_itself(combine):
    model = applied(eliminate_expand, gated(combine))
    assert op_types(model) == ["GlobalAveragePool", combine]


def test_an_expanded_value_that_is_a_result_is_still_made():
    model = applied(eliminate_expand, gated(kept=True))
    assert sorted(op_types(model)) == ["GlobalAveragePool", "Mul", "Mul"]


def test_both_operands_that_need_each_other_keep_the_size():
    """A column and a row, each expanded to the map: one of them may stay what it is."""
    g = Graph()
    column = g.op("Expand", g.input(1, 4, 5, 1), g.integers(1, 4, 5, 6))
    row = g.op("Expand", g.input(1, 4, 1, 6), g.integers(1, 4, 5, 6))
    model = applied(eliminate_expand, g.model(g.op("Add", column, row)))
    assert op_types(model) == ["Add"]


def test_a_value_added_to_itself_keeps_the_size():
    g = Graph()
    wide = g.op("Expand", g.input(1, 4, 1, 1), g.integers(1, 4, 2, 2))
    model = applied(eliminate_expand, g.model(g.op("Add", wide, wide)))
    assert op_types(model) == ["Mul", "Add"]


@pytest.mark.parametrize(
    ("shape", "target"), [((1, 4, 1, 1), (1, 4, 5, 6)), ((1, 1, 5, 6), (1, 3, 1, 6)), ((4, 1), (2, 4, 5))]
)
def test_elsewhere_it_is_a_product_with_ones(shape, target):
    model = applied(eliminate_expand, copied("Expand", shape, target))
    *_, product, _ = model.graph
    assert product.op_type == "Mul"
    assert (array_of(product.inputs[1]) == 1).all()


def test_copies_of_long_axes_are_joined():
    model = applied(eliminate_expand, copied("Tile", (1, 2, 1, 3), (1, 2, 4, 2)))
    assert op_types(model) == ["Concat", "Concat", "Mul", "Relu"]


def test_one_copy_is_the_value():
    assert op_types(applied(eliminate_expand, copied("Tile", (1, 2, 1, 3), (1, 1, 1, 1)))) == ["Relu"]


def test_one_channel_that_becomes_three_is_not_folded_as_a_scale():
    g = Graph()
    grey = g.conv(g.input(1, 2, 6, 6), 2, 1, 3)
    model = simplify(g.model(g.conv(g.op("Expand", grey, g.integers(1, 3, 1, 1)), 3, 4, 3)))
    assert op_types(model) == ["Conv", "Mul", "Conv"]


def test_it_leaves_indices_alone():
    g = Graph()
    indices = g.op("ArgMax", g.input(1, 4, 5, 6), axis=1)
    assert_left_alone(eliminate_expand, g.model(g.op("Expand", indices, g.integers(1, 3, 5, 6))))
