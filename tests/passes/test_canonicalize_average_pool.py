"""Averages that round their size up count no padding."""

import numpy as np
import onnxruntime as ort
import pytest
from pass_graphs import Graph, applied, assert_left_alone, attributes_of, node_of, op_types

from edgekit.passes.canonicalize_average_pool import canonicalize_average_pool


def pooled(size, kernel, stride, pads, **more):
    g = Graph()
    window = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads}
    return g, g.op("AveragePool", g.input(1, 2, *size), **window, **{"ceil_mode": 1, "count_include_pad": 1, **more})


@pytest.mark.parametrize(("size", "kernel", "stride"), [((9, 7), 2, 2), ((8, 8), 3, 2), ((9, 8), 3, 3), ((8, 7), 3, 2)])
def test_without_padding_it_is_enough_not_to_count_any(size, kernel, stride):
    g, value = pooled(size, kernel, stride, [0] * 4)
    model = applied(canonicalize_average_pool, g.model(value))
    assert "count_include_pad" not in node_of(model, "AveragePool").attributes
    assert op_types(model) == ["AveragePool"]


@pytest.mark.parametrize(("size", "pads"), [((8, 8), [1, 1, 1, 1]), ((9, 7), [0, 0, 1, 1]), ((9, 7), [1, 0, 0, 1])])
def test_padding_becomes_pixels_in_front(size, pads):
    g, value = pooled(size, 3, 2, pads)
    model = applied(canonicalize_average_pool, g.model(value))
    assert op_types(model) == ["Pad", "AveragePool"]
    assert "pads" not in attributes_of(node_of(model, "AveragePool"))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads", "more"),
    [
        ((8, 8), 2, 2, [0] * 4, {}),
        ((9, 7), 2, 2, [0] * 4, {"ceil_mode": 0}),
        ((9, 7), 2, 2, [0] * 4, {"count_include_pad": 0}),
        ((9, 9), 3, 2, [1] * 4, {}),
    ],
)
def test_windows_that_end_inside_stay(size, kernel, stride, pads, more):
    g, value = pooled(size, kernel, stride, pads, **more)
    assert_left_alone(canonicalize_average_pool, g.model(value))


@pytest.mark.parametrize("include", [0, 1])
def test_the_integer_kernel_that_this_is_about_counts_what_is_beyond_the_edge(include):
    """Where this fails for 1, ONNX Runtime was mended, and the pass may go."""
    from onnx import TensorProto, helper, numpy_helper

    steps = ["scale", "zero"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *steps], ["a"]),
        helper.make_node("DequantizeLinear", ["a", *steps], ["b"]),
        helper.make_node(
            "AveragePool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1, count_include_pad=include
        ),
        helper.make_node("QuantizeLinear", ["c", *steps], ["d"]),
        helper.make_node("DequantizeLinear", ["d", *steps], ["y"]),
    ]
    constants = [numpy_helper.from_array(np.float32(0.02), "scale"), numpy_helper.from_array(np.uint8(128), "zero")]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8, *s]) for name, s in (("x", (9, 7)), ("y", (5, 4)))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.ones((1, 8, 9, 7), np.float32)})
    assert np.allclose(found, 1, atol=0.02) == (include == 0)
