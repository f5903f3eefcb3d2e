"""Hard-swish is one node."""

import pytest
from pass_graphs import Graph, applied, assert_left_alone, op_types

from edgekit.passes.fuse_hard_swish import fuse_hard_swish


def relu6(g, x):
    return g.op("Clip", g.op("Add", x, g.constant(3.0)), g.constant(0.0), g.constant(6.0))


def sixth(g, x):
    return g.op("Div", x, g.constant(6.0))


def hard_sigmoid(g, x, alpha=1 / 6):
    return g.op("HardSigmoid", x, alpha=alpha, beta=0.5)


SPELLINGS = {
    "x * HardSigmoid(x)": lambda g, x: g.op("Mul", x, hard_sigmoid(g, x)),
    "HardSigmoid(x) * x": lambda g, x: g.op("Mul", hard_sigmoid(g, x), x),
    "x * relu6(x + 3) / 6": lambda g, x: sixth(g, g.op("Mul", x, relu6(g, x))),
    "x * (relu6(x + 3) / 6)": lambda g, x: g.op("Mul", x, sixth(g, relu6(g, x))),
    "(x / 6) * relu6(x + 3)": lambda g, x: g.op("Mul", sixth(g, x), relu6(g, x)),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_is_hard_swish(name):
    g = Graph()
    x = g.op("Neg", g.input(1, 3, 4, 4))
    model = applied(fuse_hard_swish, g.model(g.op("Relu", SPELLINGS[name](g, x))))
    assert op_types(model) == ["Neg", "HardSwish", "Relu"]


def test_near_misses_stay():
    g = Graph()
    x, other = g.input(1, 8), g.input(1, 8)
    outputs = [
        g.op("Mul", x, hard_sigmoid(g, x, alpha=0.2)),
        g.op("Mul", x, g.op("HardSigmoid", x)),
        g.op("Mul", x, hard_sigmoid(g, other)),
        g.op("Div", x, hard_sigmoid(g, g.op("Abs", x))),
        g.op("Div", g.op("Mul", x, relu6(g, x)), g.constant(5.0)),
    ]
    assert_left_alone(fuse_hard_swish, g.model(*outputs))


def test_a_factor_outside_stays_outside():
    g = Graph()
    x = g.input(1, 8)
    doubled = g.op("Mul", g.op("Mul", x, g.constant(2.0)), hard_sigmoid(g, x))
    assert_left_alone(fuse_hard_swish, g.model(doubled))


@pytest.mark.parametrize("read", ["gate", "product"])
def test_a_value_in_between_with_another_reader_stays(read):
    g = Graph()
    x = g.input(1, 8)
    gate = relu6(g, x)
    product = g.op("Mul", x, gate)
    assert_left_alone(fuse_hard_swish, g.model(sixth(g, product), gate if read == "gate" else product))


def test_a_gate_that_broadcasts_is_skipped():
    g = Graph()
    x = g.input(1, 8)
    assert_left_alone(fuse_hard_swish, g.model(g.op("Div", g.op("Mul", x, relu6(g, x)), g.constant([[[6.0]]]))))
