"""Hard-sigmoid is one node."""

import pytest
from pass_graphs import Graph, applied, assert_left_alone, attributes_of, node_of, op_types

from edgekit.passes.fuse_hard_sigmoid import fuse_hard_sigmoid


def clip(g, source, low, high):
    return g.op("Clip", source, g.constant(low), g.constant(high))


def shifted(g, x, by=3.0):
    return g.op("Add", x, g.constant(by))


def sixth(g, x):
    return g.op("Div", x, g.constant(6.0))


SPELLINGS = {
    "relu6(x + 3) / 6": lambda g, x: sixth(g, clip(g, shifted(g, x), 0, 6)),
    "relu6(3 + x) * 0.1667": lambda g, x: g.op(
        "Mul", g.constant(1 / 6), clip(g, g.op("Add", g.constant(3.0), x), 0, 6)
    ),
    "clip(x / 6 + 0.5, 0, 1)": lambda g, x: clip(g, shifted(g, sixth(g, x), 0.5), 0, 1),
    "clip((x + 3) / 6, 0, 1)": lambda g, x: clip(g, sixth(g, shifted(g, x)), 0, 1),
    "clip(2x + 6, 0, 12) / 12": lambda g, x: g.op(
        "Div", clip(g, shifted(g, g.op("Mul", x, g.constant(2.0)), 6.0), 0, 12), g.constant(12.0)
    ),
    "clip(x - -3, 0, 6) / 2 / 3": lambda g, x: g.op(
        "Div", g.op("Div", clip(g, g.op("Sub", x, g.constant(-3.0)), 0, 6), g.constant(2.0)), g.constant(3.0)
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_is_hard_sigmoid(name):
    g = Graph()
    x = g.op("Neg", g.input(1, 3, 4, 4))
    model = applied(fuse_hard_sigmoid, g.model(g.op("Relu", SPELLINGS[name](g, x))))
    assert op_types(model) == ["Neg", "HardSigmoid", "Relu"]
    assert attributes_of(node_of(model, "HardSigmoid")) == pytest.approx({"alpha": 1 / 6, "beta": 0.5})


def test_near_misses_stay():
    g = Graph()
    x = g.input(1, 8)
    outputs = [
        sixth(g, clip(g, shifted(g, x, 2.9), 0, 6)),
        sixth(g, clip(g, shifted(g, x), 0, 5)),
        sixth(g, clip(g, shifted(g, x), -1, 6)),
        g.op("Div", clip(g, shifted(g, x), 0, 6), g.constant(-6.0)),
        g.op("Div", g.constant(6.0), clip(g, shifted(g, x), 0, 6)),
        clip(g, shifted(g, g.op("Mul", x, g.constant(0.2)), 0.5), 0, 1),
        clip(g, g.op("Sub", g.constant(0.5), sixth(g, x)), 0, 1),
    ]
    assert_left_alone(fuse_hard_sigmoid, g.model(*outputs))


def test_a_clip_with_another_reader_stays():
    g = Graph()
    clipped = clip(g, shifted(g, g.input(1, 8)), 0, 6)
    assert_left_alone(fuse_hard_sigmoid, g.model(sixth(g, clipped), clipped))


def test_a_shifted_value_with_another_reader_stays():
    g = Graph()
    moved = shifted(g, g.input(1, 8))
    assert_left_alone(fuse_hard_sigmoid, g.model(sixth(g, clip(g, moved, 0, 6)), g.op("Relu", moved)))


def test_a_number_that_broadcasts_is_skipped():
    g = Graph()
    clipped = clip(g, shifted(g, g.input(1, 8)), 0, 6)
    assert_left_alone(fuse_hard_sigmoid, g.model(g.op("Div", clipped, g.constant([[[6.0]]]))))
