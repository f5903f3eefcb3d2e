"""Arithmetic per channel goes into the convolution behind it."""

import numpy as np
import pytest
from pass_graphs import Graph, applied, assert_left_alone, op_types

from edgekit.passes.fold_input_affine import fold_input_affine


def numbers(g, per_channel):
    return g.constant(g.random.uniform(0.5, 2.0, (4, 1, 1) if per_channel else ()))


@pytest.mark.parametrize("op_type", ["Mul", "Div", "Add", "Sub"])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("attributes", [{}, {"group": 2}, {"group": 4}, {"strides": [2, 2], "dilations": [2, 1]}])
def test_a_factor_or_an_offset_folds(op_type, per_channel, attributes):
    g = Graph()
    arithmetic = g.op(op_type, g.input(1, 4, 6, 6), numbers(g, per_channel))
    model = applied(fold_input_affine, g.model(g.conv(arithmetic, 4, 8, 3, **attributes)))
    assert op_types(model) == ["Conv"]


@pytest.mark.parametrize("op_type", ["Mul", "Add", "Sub"])
def test_the_constant_may_stand_first(op_type):
    g = Graph()
    arithmetic = g.op(op_type, numbers(g, True), g.input(1, 4, 6, 6))
    assert op_types(applied(fold_input_affine, g.model(g.conv(arithmetic, 4, 8, 3)))) == ["Conv"]


def test_a_normalization_folds_in_one_run():
    g = Graph()
    normalized = g.op("Div", g.op("Sub", g.input(1, 4, 6, 6), numbers(g, True)), numbers(g, True))
    assert op_types(applied(fold_input_affine, g.model(g.conv(normalized, 4, 8, 3)))) == ["Conv"]


@pytest.mark.parametrize(("op_type", "folded"), [("Mul", True), ("Div", True), ("Add", False), ("Sub", False)])
def test_before_a_padded_convolution_only_a_factor_folds(op_type, folded):
    g = Graph()
    model = g.model(g.conv(g.op(op_type, g.input(1, 4, 6, 6), numbers(g, True)), 4, 8, 3, pads=[0, 1, 0, 1]))
    if folded:
        assert op_types(applied(fold_input_affine, model)) == ["Conv"]
    else:
        assert_left_alone(fold_input_affine, model)


@pytest.mark.parametrize(("first", "second"), [("Mul", "Add"), ("Div", "Sub"), ("Mul", "Sub")])
def test_before_a_padded_convolution_the_offset_moves_in_front_of_the_factor(first, second):
    g = Graph()
    scaled = g.op(first, g.input(1, 4, 6, 6), numbers(g, True))
    model = g.model(g.conv(g.op(second, scaled, numbers(g, True)), 4, 8, 3, pads=[1] * 4))
    assert op_types(applied(fold_input_affine, model)) == ["Add", "Conv"]


def test_a_factor_that_is_subtracted_from_an_offset_keeps_its_sign():
    g = Graph()
    flipped = g.op("Sub", numbers(g, True), g.op("Mul", g.input(1, 4, 6, 6), numbers(g, True)))
    model = applied(fold_input_affine, g.model(g.conv(flipped, 4, 8, 3, pads=[1] * 4)))
    assert op_types(model) == ["Add", "Conv"]


def test_a_factor_of_0_before_a_padded_convolution_stays_behind_its_offset():
    g = Graph()
    scaled = g.op("Mul", g.input(1, 2, 6, 6), g.constant([[[2.0]], [[0.0]]]))
    model = g.model(g.conv(g.op("Add", scaled, g.constant(1.0)), 2, 3, 3, pads=[1] * 4))
    assert_left_alone(fold_input_affine, model)


def test_an_unresolved_auto_pad_counts_as_padding():
    g = Graph()
    shifted = g.op("Add", g.input(1, 4, 6, 6), g.constant(1.0))
    assert_left_alone(fold_input_affine, g.model(g.conv(shifted, 4, 8, 3, auto_pad="SAME_UPPER")))


def test_a_weight_that_another_node_reads_is_copied():
    g = Graph()
    x, weights, bias = g.input(1, 2, 4, 4), g.weights(2, 2, 1, 1), g.weights(2)
    scaled = g.op("Conv", g.op("Mul", x, g.constant(np.float32(3))), weights, bias)
    assert op_types(applied(fold_input_affine, g.model(scaled, g.op("Conv", x, weights, bias)))) == ["Conv", "Conv"]


def test_other_readers_constants_over_pixels_and_computed_weights_are_skipped():
    g = Graph()
    x = g.input(1, 4, 6, 6)
    read_twice = g.op("Mul", x, g.constant(2.0))
    outputs = [
        g.conv(read_twice, 4, 2),
        g.op("Relu", read_twice),
        g.conv(g.op("Mul", x, g.weights(6, 6)), 4, 2),
        g.conv(g.op("Div", g.constant(2.0), x), 4, 2),
        g.op("Conv", g.op("Mul", x, g.constant(2.0)), g.op("Relu", g.input(2, 4, 1, 1)), g.weights(2)),
    ]
    assert_left_alone(fold_input_affine, g.model(*outputs))
