"""Axes and indices count from the front."""

import numpy as np
import pytest
from pass_graphs import Graph, applied, array_of, assert_left_alone, attributes_of, node_of

from edgekit.passes.canonicalize_axes import canonicalize_axes


@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax", "ArgMax", "ArgMin"])
def test_a_negative_axis_counts_from_the_front(op_type):
    g = Graph()
    model = applied(canonicalize_axes, g.model(g.op(op_type, g.input(2, 3, 4), axis=-2)))
    assert attributes_of(node_of(model, op_type))["axis"] == 1


@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax", "LayerNormalization"])
def test_an_axis_that_onnx_takes_to_be_the_last_is_stated(op_type):
    g = Graph()
    operands = (g.input(2, 3, 4), g.weights(4)) if op_type == "LayerNormalization" else (g.input(2, 3, 4),)
    model = applied(canonicalize_axes, g.model(g.op(op_type, *operands)))
    assert attributes_of(node_of(model, op_type))["axis"] == 2


def test_a_concatenation_counts_from_the_front():
    g = Graph()
    model = applied(canonicalize_axes, g.model(g.op("Concat", g.input(1, 2, 4), g.input(1, 3, 4), axis=-2)))
    assert attributes_of(node_of(model, "Concat"))["axis"] == 1


def test_a_split_into_a_number_of_parts_gets_their_sizes():
    g = Graph()
    model = applied(canonicalize_axes, g.model(*g.several("Split", 3, g.input(2, 7), axis=-1, num_outputs=3)))
    split = node_of(model, "Split")
    assert array_of(split.inputs[1]).tolist() == [3, 3, 1]
    assert attributes_of(split) == {"axis": 1}


def test_a_pad_of_named_axes_states_all():
    g = Graph()
    model = applied(canonicalize_axes, g.model(g.op("Pad", g.input(1, 2, 4), g.integers(1, 3), "", g.integers(-1))))
    node = node_of(model, "Pad")
    assert array_of(node.inputs[1]).tolist() == [0, 0, 1, 0, 0, 3]
    assert len(node.inputs) == 3


def test_gather_counts_constant_indices_from_0():
    g = Graph()
    model = applied(canonicalize_axes, g.model(g.op("Gather", g.input(2, 5), g.integers(-1, 0, -5), axis=-1)))
    assert array_of(node_of(model, "Gather").inputs[1]).tolist() == [4, 0, 0]


def test_shared_indices_change_only_for_the_node_that_needs_it():
    g = Graph()
    x, indices = g.input(3, 5), g.integers(-1)
    model = applied(canonicalize_axes, g.model(g.op("Gather", x, indices, axis=0), g.op("Gather", x, indices, axis=1)))
    assert [array_of(node.inputs[1]).tolist() for node in model.graph] == [[2], [4]]


LAST = np.iinfo(np.int64).max


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([[1], [LAST]], [[1], [6], [0], [1]]),
        ([[-3], [-1], [-1]], [[2], [4], [1], [1]]),
        ([[0, -100], [4, 100], [1, 0], [2, 3]], [[0, 0], [4, 6], [1, 0], [2, 3]]),
        ([[0, 1], [3, 4], None, [1, 2]], [[0, 1], [3, 4], [0, 1], [1, 2]]),
    ],
)
def test_a_slice_states_starts_ends_axes_and_steps(arguments, expected):
    g = Graph()
    operands = ["" if values is None else g.integers(*values) for values in arguments]
    model = applied(canonicalize_axes, g.model(g.op("Slice", g.input(6, 5), *operands)))
    assert [array_of(value).tolist() for value in node_of(model, "Slice").inputs[1:]] == expected


@pytest.mark.parametrize("op_type", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2"])
def test_reduced_axes_are_a_sorted_constant(op_type):
    g = Graph()
    model = applied(canonicalize_axes, g.model(g.op(op_type, g.input(2, 3, 4), g.integers(-1, 0), keepdims=0)))
    assert array_of(node_of(model, op_type).inputs[1]).tolist() == [0, 2]


def test_a_reduction_of_everything_names_every_axis():
    g = Graph()
    model = applied(canonicalize_axes, g.model(g.op("ReduceMax", g.input(2, 3))))
    assert array_of(node_of(model, "ReduceMax").inputs[1]).tolist() == [0, 1]


def test_a_reduction_of_nothing_stays_one():
    g = Graph()
    assert_left_alone(canonicalize_axes, g.model(g.op("ReduceSum", g.input(2, 3), noop_with_empty_axes=1)))


def test_what_is_not_known_before_the_model_runs_is_skipped():
    g = Graph()
    x, backwards = g.input(4, 5), [g.integers(-1), g.integers(-100), g.integers(0), g.integers(-1)]
    computed = g.op("Cast", g.input(1), to=7)
    outputs = g.op("Slice", x, *backwards), g.op("Slice", x, computed, g.integers(3)), g.op("Gather", x, computed)
    assert_left_alone(canonicalize_axes, g.model(*outputs))


def test_an_input_of_unknown_rank_is_skipped():
    g = Graph()
    unknown = g.op("Reshape", g.input(2, 3), g.op("Cast", g.input(2), to=7))
    model = g.model(g.op("Softmax", unknown, axis=-1))
    model.graph.node(1).outputs[0].shape = None
    assert_left_alone(canonicalize_axes, model)
