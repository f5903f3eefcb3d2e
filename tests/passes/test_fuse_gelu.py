"""GELU is one node."""

import math

import pytest
from pass_graphs import Graph, applied, assert_left_alone, op_types

from edgekit.passes.fuse_gelu import fuse_gelu

ROOT = math.sqrt(2)


def gate(g, x, argument="Div", one=1.0):
    scaled = g.op("Div", x, g.constant(ROOT)) if argument == "Div" else g.op("Mul", g.constant(1 / ROOT), x)
    return g.op("Add", g.op("Erf", scaled), g.constant(one))


SPELLINGS = {
    "(x / 2) * gate": lambda g, x: g.op("Mul", g.op("Div", x, g.constant(2.0)), gate(g, x)),
    "gate * (x * 0.5)": lambda g, x: g.op("Mul", gate(g, x), g.op("Mul", x, g.constant(0.5))),
    "(x * gate) * 0.5": lambda g, x: g.op("Mul", g.op("Mul", x, gate(g, x, "Mul")), g.constant(0.5)),
    "(x * gate) / 2": lambda g, x: g.op("Div", g.op("Mul", x, gate(g, x)), g.constant(2.0)),
    "x * (0.5 * gate)": lambda g, x: g.op("Mul", x, g.op("Mul", g.constant(0.5), gate(g, x))),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_order_of_its_products_is_gelu(name):
    g = Graph()
    x = g.op("Neg", g.input(1, 3, 8))
    assert op_types(applied(fuse_gelu, g.model(g.op("Relu", SPELLINGS[name](g, x))))) == ["Neg", "Gelu", "Relu"]


def test_one_may_stand_first():
    g = Graph()
    x = g.input(1, 8)
    erf = g.op("Erf", g.op("Div", x, g.constant(ROOT)))
    y = g.op("Mul", g.op("Mul", x, g.op("Add", g.constant(1.0), erf)), g.constant(0.5))
    assert op_types(applied(fuse_gelu, g.model(y))) == ["Gelu"]


def test_near_misses_stay():
    g = Graph()
    x, other = g.input(1, 8), g.input(1, 8)
    half = g.constant(0.5)
    outputs = [
        g.op("Mul", g.op("Mul", x, gate(g, x, one=1.01)), half),
        g.op("Mul", g.op("Mul", x, gate(g, x)), g.constant(0.51)),
        g.op("Mul", g.op("Mul", x, gate(g, other)), half),
        g.op("Mul", g.op("Mul", x, g.op("Add", g.op("Erf", x), g.constant(1.0))), half),
        g.op("Div", half, g.op("Mul", x, gate(g, x))),
    ]
    assert_left_alone(fuse_gelu, g.model(*outputs))


@pytest.mark.parametrize("read", ["gate", "product"])
def test_a_value_in_between_with_another_reader_stays(read):
    g = Graph()
    x = g.input(1, 8)
    inner = gate(g, x)
    product = g.op("Mul", x, inner)
    result = g.op("Mul", product, g.constant(0.5))
    assert_left_alone(fuse_gelu, g.model(result, inner if read == "gate" else product))


def test_a_number_that_broadcasts_is_skipped():
    g = Graph()
    x = g.input(1, 8)
    assert_left_alone(fuse_gelu, g.model(g.op("Mul", g.op("Mul", x, gate(g, x)), g.constant([[[0.5]]]))))
