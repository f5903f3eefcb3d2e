"""BatchNormalization goes into the linear operator before it."""

import numpy as np
import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, node_of, op_types

from edgekit.passes.fold_batch_norm import fold_batch_norm

LINEAR = {
    "Conv": lambda g: g.conv(g.input(1, 6, 5, 5), 6, 4, 3, pads=[1] * 4),
    "Conv of groups": lambda g: g.conv(g.input(1, 6, 5, 5), 6, 4, 3, group=2),
    "Conv without bias": lambda g: g.conv(g.input(1, 6, 5, 5), 6, 4, 3, bias=False),
    "Conv of one dimension": lambda g: g.op("Conv", g.input(1, 6, 9), g.weights(4, 6, 3)),
    "ConvTranspose": lambda g: g.op("ConvTranspose", g.input(1, 6, 5, 5), g.weights(6, 4, 3, 3), g.weights(4)),
    "Gemm": lambda g: g.op("Gemm", g.input(2, 5), g.weights(4, 5), g.weights(4), transB=1),
    "Gemm of KxN": lambda g: g.op("Gemm", g.input(2, 5), g.weights(5, 4)),
}


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
def test_it_folds_into_a_linear_operator(name, epsilon):
    g = Graph()
    model = g.model(g.op("Relu", g.batch_norm(LINEAR[name](g), 4, epsilon=epsilon)))
    assert op_types(applied(fold_batch_norm, model)) == [name.split()[0], "Relu"]


def test_the_output_keeps_its_name():
    g = Graph()
    normalized = g.batch_norm(LINEAR["Conv"](g), 4)
    assert applied(fold_batch_norm, g.model(normalized)).graph.outputs[0].name == normalized


def test_a_channel_of_small_variance_keeps_its_digits():
    g = Graph()
    statistics = [g.constant(values) for values in ([1.0], [0.0], [3.0], [1e-12])]
    convolved = g.op("Conv", g.input(1, 1, 3, 3), g.constant([[[[1e-3]]]]), g.constant([3.0]))
    model = g.model(g.op("BatchNormalization", convolved, *statistics, epsilon=1e-5))
    assert fold_batch_norm(model)
    assert abs(array_of(node_of(model, "Conv").inputs[2]).item()) < 1e-4


def test_a_weight_that_another_node_reads_is_copied():
    g = Graph()
    x, weights = g.input(1, 2, 4, 4), g.weights(2, 2, 1, 1)
    first, second = g.op("Conv", x, weights), g.op("Conv", x, weights)
    model = applied(fold_batch_norm, g.model(g.batch_norm(first, 2), g.batch_norm(second, 2)))
    one, two = model.graph
    assert not np.array_equal(array_of(one.inputs[1]), array_of(two.inputs[1]))


def test_a_conv_output_with_another_reader_is_skipped():
    g = Graph()
    y = LINEAR["Conv"](g)
    assert_left_alone(fold_batch_norm, g.model(g.batch_norm(y, 4), g.op("Relu", y)))


def test_statistics_that_are_computed_or_trained_and_other_producers_are_skipped():
    g = Graph()
    constants = [g.constant([1.0] * 4) for _ in range(4)]
    outputs = [
        g.op("BatchNormalization", LINEAR["Conv"](g), *constants[:3], g.op("Relu", g.input(4))),
        g.several("BatchNormalization", 3, LINEAR["Conv"](g), *constants, training_mode=1)[0],
        g.batch_norm(g.op("Relu", LINEAR["Conv"](g)), 4),
        g.batch_norm(g.op("Gemm", g.input(2, 5), g.weights(4, 5), transB=1, alpha=2.0), 4),
    ]
    assert_left_alone(fold_batch_norm, g.model(*outputs))
