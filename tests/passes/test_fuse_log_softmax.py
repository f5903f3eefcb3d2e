"""The logarithm of probabilities, where those would be stored in integers."""

import pytest
from pass_graphs import Graph, applied, assert_left_alone, node_of, op_types

from edgekit.passes.fuse_log_softmax import fuse_log_softmax


@pytest.mark.parametrize(("attributes", "axis"), [({}, -1), ({"axis": 1}, 1)])
def test_log_of_softmax_is_one_node_over_the_same_axis(attributes, axis):
    g = Graph()
    y = g.op("Log", g.op("Softmax", g.input(1, 4, 5), **attributes))
    fused = applied(fuse_log_softmax, g.model(y))
    assert op_types(fused) == ["LogSoftmax"]
    assert node_of(fused, "LogSoftmax").attributes["axis"].as_int() == axis


def test_probabilities_that_are_read_too_stay():
    g = Graph()
    p = g.op("Softmax", g.input(1, 4))
    assert sorted(op_types(applied(fuse_log_softmax, g.model(g.op("Mul", p, g.op("Log", p)))))) == [
        "LogSoftmax",
        "Mul",
        "Softmax",
    ]


def test_another_logarithm_is_left_alone():
    g = Graph()
    assert_left_alone(fuse_log_softmax, g.model(g.op("Log", g.op("Exp", g.input(1, 3)))))
