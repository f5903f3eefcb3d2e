"""Every Conv states its attributes and has a bias."""

from pass_graphs import Graph, applied, array_of, assert_left_alone, attributes_of, node_of

from edgekit.passes.canonicalize_conv import canonicalize_conv


def test_missing_attributes_and_bias_are_written():
    g = Graph()
    model = applied(canonicalize_conv, g.model(g.conv(g.input(1, 2, 5, 5), 2, 4, 3, bias=False)))
    conv = node_of(model, "Conv")
    assert attributes_of(conv) == {
        "kernel_shape": (3, 3),
        "strides": (1, 1),
        "pads": (0, 0, 0, 0),
        "dilations": (1, 1),
        "group": 1,
    }
    assert array_of(conv.inputs[2]).tolist() == [0.0] * 4


def test_one_dimension_gets_attributes_of_one():
    g = Graph()
    model = applied(canonicalize_conv, g.model(g.op("Conv", g.input(1, 2, 9), g.weights(3, 2, 3))))
    assert attributes_of(node_of(model, "Conv"))["pads"] == (0, 0)


def test_what_is_given_stays():
    g = Graph()
    given = {"strides": [2, 1], "pads": [1, 0, 0, 1], "dilations": [1, 2], "group": 2}
    conv = node_of(applied(canonicalize_conv, g.model(g.conv(g.input(1, 2, 7, 7), 2, 4, 3, **given))), "Conv")
    assert {name: attributes_of(conv)[name] for name in given} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }


def test_two_convolutions_of_one_weight_get_a_bias_each():
    g = Graph()
    x, weights = g.input(1, 2, 4, 4), g.weights(2, 2, 1, 1)
    model = applied(canonicalize_conv, g.model(g.op("Conv", g.op("Conv", x, weights), weights)))
    first, second = model.graph
    assert first.inputs[2] is not second.inputs[2]


def test_a_weight_that_is_computed_and_an_unresolved_auto_pad_are_skipped():
    g = Graph()
    x = g.input(1, 2, 4, 4)
    computed = g.op("Conv", x, g.op("Relu", g.input(3, 2, 1, 1)))
    assert_left_alone(canonicalize_conv, g.model(computed, g.conv(x, 2, 3, 3, auto_pad="SAME_UPPER")))
