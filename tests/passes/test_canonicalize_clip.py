"""Bounded activations are Clip with two scalar constants, or Relu."""

import numpy as np
import pytest
from onnx import TensorProto
from pass_graphs import Graph, applied, array_of, assert_left_alone, node_of, op_types

from edgekit.passes.canonicalize_clip import canonicalize_clip

LIMITS = np.finfo(np.float32)


def bounds(model):
    return [array_of(value).item() for value in node_of(model, "Clip").inputs[1:]]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(None, 2.0, [LIMITS.min, 2.0]), (-1.0, None, [-1.0, LIMITS.max]), ([-1.0], [2.0], [-1.0, 2.0])],
)
def test_clip_gets_two_scalars(low, high, expected):
    g = Graph()
    operands = ["" if bound is None else g.constant(bound) for bound in (low, high)]
    model = applied(canonicalize_clip, g.model(g.op("Clip", g.input(1, 8), *operands)))
    assert bounds(model) == expected
    assert all(array_of(value).shape == () for value in node_of(model, "Clip").inputs[1:])


@pytest.mark.parametrize("high", [None, LIMITS.max, np.inf])
def test_clip_at_0_without_an_upper_bound_is_relu(high):
    g = Graph()
    operands = [g.constant(0.0)] if high is None else [g.constant(0.0), g.constant(high)]
    assert op_types(applied(canonicalize_clip, g.model(g.op("Clip", g.input(1, 8), *operands)))) == ["Relu"]


@pytest.mark.parametrize(("op_type", "expected"), [("Min", [LIMITS.min, 1.5]), ("Max", [1.5, LIMITS.max])])
@pytest.mark.parametrize("first", [True, False])
def test_min_and_max_with_a_number_are_clip(op_type, expected, first):
    g = Graph()
    operands = [g.constant(1.5), g.input(1, 8)]
    model = applied(canonicalize_clip, g.model(g.op(op_type, *operands[:: 1 if first else -1])))
    assert bounds(model) == expected


def test_max_with_0_is_relu():
    g = Graph()
    assert op_types(applied(canonicalize_clip, g.model(g.op("Max", g.input(1, 8), g.constant(0.0))))) == ["Relu"]


def test_min_of_max_is_one_clip():
    g = Graph()
    chain = g.op("Min", g.op("Max", g.input(1, 8), g.constant(-1.0)), g.constant(2.0))
    assert bounds(applied(canonicalize_clip, g.model(chain))) == [-1.0, 2.0]


def test_clip_of_relu_is_one_clip():
    g = Graph()
    chain = g.op("Clip", g.op("Relu", g.input(1, 8)), g.constant(-1.0), g.constant(2.0))
    assert bounds(applied(canonicalize_clip, g.model(chain))) == [0.0, 2.0]


def test_clips_whose_ranges_do_not_meet_stay_two():
    g = Graph()
    inner = g.op("Clip", g.input(1, 8), g.constant(-2.0), g.constant(-1.0))
    assert_left_alone(canonicalize_clip, g.model(g.op("Clip", inner, g.constant(0.0), g.constant(6.0))))


def test_an_inner_clip_that_is_read_elsewhere_stays():
    g = Graph()
    inner = g.op("Clip", g.input(1, 8), g.constant(-1.0), g.constant(1.0))
    outer = g.op("Clip", inner, g.constant(-0.5), g.constant(0.5))
    assert_left_alone(canonicalize_clip, g.model(outer, inner))


def test_half_precision_is_bounded_by_its_own_largest_number():
    g = Graph()
    clipped = g.op("Clip", g.input(1, 8, dtype=TensorProto.FLOAT16), g.constant(-1.0, "float16"))
    model = applied(canonicalize_clip, g.model(clipped))
    assert bounds(model) == [-1.0, np.finfo(np.float16).max]


def test_a_number_of_higher_rank_broadcasts_and_is_skipped():
    g = Graph()
    assert_left_alone(canonicalize_clip, g.model(g.op("Min", g.input(3, 8), g.constant([[[1.0]]]))))


def test_bounds_that_are_computed_and_vectors_and_integers_are_skipped():
    g = Graph()
    x = g.input(1, 8)
    outputs = [
        g.op("Clip", x, g.op("ReduceMin", x, keepdims=0), g.constant(1.0)),
        g.op("Min", x, g.constant(range(8))),
        g.op("Max", g.op("Cast", x, to=TensorProto.INT32), g.constant(0, "int32")),
        g.op("Clip", g.op("Cast", x, to=TensorProto.INT32), g.constant(0, "int32")),
    ]
    assert_left_alone(canonicalize_clip, g.model(*outputs))
