"""auto_pad becomes numbers."""

import pytest
from pass_graphs import Graph, applied, assert_left_alone, attributes_of, node_of, run

from edgekit.passes.canonicalize_auto_pad import canonicalize_auto_pad


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (2, 1), (4, 3), (1, 3)])
def test_a_convolution_pads_as_auto_pad_says(mode, kernel, stride):
    g = Graph()
    convolved = g.conv(g.input(1, 2, 7, 8), 2, 3, kernel, auto_pad=mode, strides=[stride] * 2)
    model = applied(canonicalize_auto_pad, g.model(convolved))
    assert "auto_pad" not in node_of(model, "Conv").attributes


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool", "LpPool"])
def test_a_pool_pads_as_auto_pad_says(mode, op_type):
    g = Graph()
    pooled = g.op(op_type, g.input(1, 2, 8, 7), auto_pad=mode, kernel_shape=[3, 2], strides=[2, 2])
    model = applied(canonicalize_auto_pad, g.model(pooled))
    assert "auto_pad" not in node_of(model, op_type).attributes


def test_same_upper_puts_the_odd_pixel_last_and_same_lower_first():
    pads = {}
    for mode in ("SAME_UPPER", "SAME_LOWER"):
        g = Graph()
        model = applied(canonicalize_auto_pad, g.model(g.conv(g.input(1, 1, 4, 5), 1, 1, 2, auto_pad=mode)))
        pads[mode] = list(attributes_of(node_of(model, "Conv"))["pads"])
    assert pads == {"SAME_UPPER": [0, 0, 1, 1], "SAME_LOWER": [1, 1, 0, 0]}


def test_a_dilated_convolution_of_same_keeps_its_size():
    g = Graph()
    model = g.model(g.conv(g.input(1, 1, 7, 8), 1, 1, 3, auto_pad="SAME_UPPER", dilations=[2, 1]))
    assert canonicalize_auto_pad(model)  # ONNX Runtime cannot run it before
    assert attributes_of(node_of(model, "Conv"))["pads"] == (2, 1, 2, 1)
    assert run(model)["conv0.0"].shape == (1, 1, 7, 8)


def test_notset_keeps_the_pads_that_are_given():
    g = Graph()
    model = applied(
        canonicalize_auto_pad, g.model(g.conv(g.input(1, 1, 4, 4), 1, 1, 3, auto_pad="NOTSET", pads=[1, 0, 2, 1]))
    )
    assert attributes_of(node_of(model, "Conv"))["pads"] == (1, 0, 2, 1)


def test_a_valid_pool_that_would_round_up_keeps_its_size():
    g = Graph()
    pooled = g.op("MaxPool", g.input(1, 1, 6, 6), auto_pad="VALID", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    applied(canonicalize_auto_pad, g.model(pooled))


def test_an_input_of_unknown_size_is_skipped():
    g = Graph()
    model = g.model(g.conv(g.input(1, 1, "height", 4), 1, 1, 3, auto_pad="SAME_UPPER"))
    assert_left_alone(canonicalize_auto_pad, model)
