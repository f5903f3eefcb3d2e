"""Shapes change by Reshape to a constant, positive shape."""

import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, node_of, op_types

from edgekit.passes.canonicalize_reshape import canonicalize_reshape


@pytest.mark.parametrize("target", [(0, -1), (1, -1), (-1,), (0, 0, 20)])
def test_zeros_and_minus_one_become_sizes(target):
    g = Graph()
    model = applied(canonicalize_reshape, g.model(g.op("Reshape", g.input(1, 3, 4, 5), g.integers(*target))))
    reshape = node_of(model, "Reshape")
    assert tuple(array_of(reshape.inputs[1]).tolist()) == tuple(reshape.outputs[0].shape)


@pytest.mark.parametrize(
    ("op_type", "operand", "attributes", "expected"),
    [
        ("Flatten", None, {}, [1, 12]),
        ("Flatten", None, {"axis": -1}, [3, 4]),
        ("Squeeze", (0,), {}, [3, 1, 4]),
        ("Squeeze", None, {}, [3, 4]),
        ("Unsqueeze", (-1, 0), {}, [1, 1, 3, 1, 4, 1]),
        ("Reshape", (3, 4), {"allowzero": 1}, [3, 4]),
    ],
)
def test_its_relatives_become_reshape(op_type, operand, attributes, expected):
    g = Graph()
    operands = [g.input(1, 3, 1, 4)] + ([g.integers(*operand)] if operand else [])
    model = applied(canonicalize_reshape, g.model(g.op(op_type, *operands, **attributes)))
    assert array_of(node_of(model, "Reshape").inputs[1]).tolist() == expected


@pytest.mark.parametrize(("last", "operand"), [("Reshape", (0, -1)), ("Flatten", None), ("Unsqueeze", (0,))])
def test_a_chain_becomes_one(last, operand):
    g = Graph()
    chain = g.op("Reshape", g.op("Squeeze", g.input(2, 1, 6)), g.integers(3, 4))
    operands = [g.integers(*operand)] if operand else []
    assert op_types(applied(canonicalize_reshape, g.model(g.op(last, chain, *operands)))) == ["Reshape"]


def test_a_reshape_that_is_read_elsewhere_stays_for_its_reader():
    g = Graph()
    first = g.op("Reshape", g.input(2, 6), g.integers(3, 4))
    model = applied(canonicalize_reshape, g.model(g.op("Reshape", first, g.integers(12)), g.op("Relu", first)))
    assert op_types(model).count("Reshape") == 2
    assert all(node.inputs[0].is_graph_input() for node in model.graph if node.op_type == "Reshape")


def test_to_a_scalar_is_a_reshape_too():
    g = Graph()
    model = applied(canonicalize_reshape, g.model(g.op("Squeeze", g.input(1, 1))))
    assert node_of(model, "Reshape").outputs[0].shape == ()


def test_a_shape_that_is_computed_or_holds_no_element_is_skipped():
    g = Graph()
    computed = g.op("Reshape", g.input(2, 6), g.op("Cast", g.input(2), to=7))
    assert_left_alone(canonicalize_reshape, g.model(computed, g.op("Unsqueeze", g.input(0, 3), g.integers(0))))
