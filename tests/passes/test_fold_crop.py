"""A Slice of rows and columns goes into the window operator that computed them."""

import pytest
from pass_graphs import Graph, applied, assert_left_alone, attributes_of, node_of, op_types

from edgekit.passes import simplify
from edgekit.passes.fold_crop import fold_crop


def cropped(g, source, *starts, ends=(99, 99), axes=(2, 3), steps=None):
    operands = [g.integers(*starts), g.integers(*ends), g.integers(*axes)]
    return g.op("Slice", source, *operands, *([] if steps is None else [g.integers(*steps)]))


def zero_framed(g, source, top=1, left=1, bottom=0, right=0):
    return g.op("Pad", source, g.integers(0, 0, top, left, 0, 0, bottom, right))


@pytest.mark.parametrize(("kernel", "pads", "expected"), [(5, 3, (1, 1, 2, 2)), (7, 4, (2, 2, 3, 3))])
def test_a_strided_convolution_starts_one_stride_later(kernel, pads, expected):
    g = Graph()
    x = g.conv(g.input(1, 2, 8, 8), 2, 3, kernel, pads=[pads, pads, kernel // 2, kernel // 2], strides=[2, 2])
    model = applied(fold_crop, g.model(cropped(g, x, 1, 1)))
    assert op_types(model) == ["Conv"]
    assert attributes_of(node_of(model, "Conv"))["pads"] == expected


def test_the_end_is_cropped_as_well():
    g = Graph()
    x = g.conv(g.input(1, 2, 8, 9), 2, 3, 3, pads=[1, 1, 1, 1])
    model = applied(fold_crop, g.model(cropped(g, x, 0, 1, ends=(7, -1))))
    assert op_types(model) == ["Conv"]
    assert attributes_of(node_of(model, "Conv"))["pads"] == (1, 0, 0, 0)


@pytest.mark.parametrize("start", [1, -5])
def test_one_axis_alone_is_enough(start):
    g = Graph()
    x = g.conv(g.input(1, 2, 10, 8), 2, 3, 3, pads=[2, 1, 1, 1], strides=[2, 1])
    model = applied(fold_crop, g.model(cropped(g, x, start, ends=(99,), axes=(-2,))))
    assert attributes_of(node_of(model, "Conv"))["pads"] == (0, 1, 1, 1)


def test_it_reaches_through_pointwise_convolutions():
    g = Graph()
    x = g.conv(g.input(1, 4, 8, 8), 4, 4, 5, pads=[3, 3, 2, 2], strides=[2, 2], group=4)
    model = applied(fold_crop, g.model(cropped(g, g.conv(x, 4, 6), 1, 1)))
    assert op_types(model) == ["Conv", "Conv"]
    assert attributes_of(model.graph[0])["pads"] == (1, 1, 2, 2)


@pytest.mark.parametrize("counts", [None, 0, 1])
def test_a_pool_of_a_framed_value_needs_no_frame(counts):
    g = Graph()
    attributes = {} if counts is None else {"count_include_pad": counts}
    options = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], **attributes}
    pooled = g.op("MaxPool" if counts is None else "AveragePool", zero_framed(g, g.input(1, 2, 8, 8)), **options)
    model = applied(fold_crop, g.model(cropped(g, pooled, 1, 1)))
    assert attributes_of(model.graph[-1])["pads"] == (0, 0, 1, 1)
    assert op_types(simplify(model)) == [model.graph[-1].op_type]


def test_what_remains_of_a_frame_stays():
    g = Graph()
    pooled = g.op("MaxPool", zero_framed(g, g.input(1, 2, 8, 8), 2, 1, 3, 0), kernel_shape=[3, 3])
    model = applied(fold_crop, g.model(cropped(g, pooled, 1, 1)))
    assert op_types(model) == ["Pad", "MaxPool"]


def test_a_slice_of_a_pad_is_a_pad_of_a_slice():
    g = Graph()
    model = applied(fold_crop, g.model(cropped(g, zero_framed(g, g.input(1, 2, 7, 7), 0, 0, 1, 1), 1, 1)))
    assert op_types(model) == ["Slice", "Pad"]


def test_a_slice_that_undoes_a_pad_takes_it_away():
    g = Graph()
    source = g.op("Relu", g.input(1, 2, 7, 7))
    model = applied(fold_crop, g.model(g.op("Relu", cropped(g, zero_framed(g, source), 1, 1))))
    assert op_types(model) == ["Relu", "Relu"]


def test_a_pad_that_others_read_too_keeps_its_size():
    g = Graph()
    framed = zero_framed(g, g.input(1, 2, 7, 7), 2, 2)
    model = applied(fold_crop, g.model(cropped(g, framed, 1, 1), g.op("Relu", framed)))
    assert sorted(op_types(model)) == ["Pad", "Pad", "Relu"]


SKIPPED = {
    "channels": lambda g, x: cropped(g, g.conv(x, 2, 3, 3, pads=[1] * 4), 1, ends=(3,), axes=(1,)),
    "steps": lambda g, x: cropped(g, g.conv(x, 2, 3, 3, pads=[1] * 4), 1, 1, steps=(2, 1)),
    "only moved": lambda g, x: cropped(g, g.conv(x, 2, 3, 3, pads=[1] * 4, strides=[2, 2]), 1, 1),
    "another operator": lambda g, x: cropped(g, g.op("Relu", x), 1, 1),
    "auto_pad": lambda g, x: cropped(g, g.conv(x, 2, 3, 3, auto_pad="SAME_UPPER"), 1, 1),
    "rounded up": lambda g, x: cropped(
        g, g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[2] * 4, ceil_mode=1), 1, 1
    ),
    "computed bounds": lambda g, x: g.op(
        "Slice", g.conv(x, 2, 3, 3, pads=[1] * 4), g.op("Shape", x), g.integers(9, 9, 9, 9)
    ),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_what_it_skips(name):
    g = Graph()
    source = g.input(1, 2, 8, 8) if name != "computed bounds" else g.input(1, 2, 3, 3)
    model = g.model(SKIPPED[name](g, source))
    if name == "computed bounds":
        assert not fold_crop(model)
    else:
        assert_left_alone(fold_crop, model)


def test_a_value_with_another_reader_is_computed_whole():
    g = Graph()
    x = g.conv(g.input(1, 2, 8, 8), 2, 3, 3, pads=[1] * 4)
    assert_left_alone(fold_crop, g.model(cropped(g, x, 1, 1), g.op("Relu", x)))
