"""A concatenation appends to the one that has its beginning."""

from pass_graphs import Graph, applied, assert_left_alone

from edgekit.passes.chain_concats import chain_concats


def maps(g, count):
    return [g.op("Relu", g.input(1, 2 + i, 3, 3)) for i in range(count)]


def inputs_of(model):
    return [len(node.inputs) for node in model.graph if node.op_type == "Concat"]


def test_a_dense_block_appends_in_every_layer():
    g = Graph()
    made = maps(g, 6)
    joined = [g.op("Concat", *made[:count], axis=1) for count in range(2, 7)]
    model = applied(chain_concats, g.model(*joined))
    assert inputs_of(model) == [2] * 5


def test_the_longest_beginning_is_taken_and_several_may_follow_it():
    g = Graph()
    a, b, c, d, e = maps(g, 5)
    first, second = g.op("Concat", a, b, axis=1), g.op("Concat", a, b, c, axis=-3)
    model = applied(chain_concats, g.model(first, second, g.op("Concat", a, b, c, d, e, axis=1)))
    assert inputs_of(model) == [2, 2, 3]


def test_what_shares_no_beginning_is_left_alone():
    g = Graph()
    a, b, c = maps(g, 3)
    inputs = [g.op("Relu", g.input(1, 2, 3, 3)) for _ in range(3)]
    assert_left_alone(
        chain_concats,
        g.model(
            g.op("Concat", a, b, axis=1),
            g.op("Concat", b, a, c, axis=1),
            g.op("Concat", a, c, axis=1),
            g.op("Concat", *inputs[:2], axis=2),
            g.op("Concat", *inputs, axis=1),
        ),
    )
