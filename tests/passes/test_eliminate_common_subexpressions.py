"""Two nodes that compute alike become one."""

from pass_graphs import MODULE_KEY, Graph, applied, assert_left_alone, op_types

from edgekit.passes.eliminate_common_subexpressions import eliminate_common_subexpressions


def test_equal_chains_become_one():
    g = Graph()
    x, half = g.input(1, 2, 4, 4), g.constant(0.5)
    branches = [g.op("Relu", g.op("Mul", x, half)) for _ in range(2)]
    model = applied(eliminate_common_subexpressions, g.model(g.op("Add", *branches)))
    assert op_types(model) == ["Mul", "Relu", "Add"]


def test_both_names_of_two_graph_outputs_stay():
    g = Graph()
    x = g.input(1, 4)
    model = applied(eliminate_common_subexpressions, g.model(g.op("Relu", x), g.op("Relu", x)))
    relu, copy = model.graph
    assert (relu.op_type, copy.op_type) == ("Relu", "Identity")
    assert copy.metadata_props[MODULE_KEY] == relu.metadata_props[MODULE_KEY]


def test_other_attributes_inputs_and_constants_stay():
    g = Graph()
    x = g.input(1, 4)
    outputs = [
        g.op("LeakyRelu", x, alpha=0.1),
        g.op("LeakyRelu", x, alpha=0.2),
        g.op("Mul", x, g.constant(2.0)),
        g.op("Mul", x, g.constant(2.0)),
        g.op("Relu", x),
        g.op("Relu", g.input(1, 4)),
    ]
    assert_left_alone(eliminate_common_subexpressions, g.model(*outputs))


def test_random_numbers_stay_independent():
    g = Graph()
    x = g.input(1, 4)
    model = g.model(*(g.op("Add", x, g.op("RandomNormalLike", x)) for _ in range(2)))
    assert_left_alone(eliminate_common_subexpressions, model)
