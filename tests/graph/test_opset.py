"""Graphs of old opsets compute the same behind the conversion."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.graph.opset import convert_opset
from edgekit.graph.session import open_graph


def resize(opset, mode, scales):
    """A model of one Upsample, or of one Resize where there is none."""
    node = helper.make_node("Resize" if opset == 10 else "Upsample", ["x"], ["y"], mode=mode)
    constants = []
    if opset < 9:
        node.attribute.append(helper.make_attribute("scales", scales))
    else:
        node.input.append("scales")
        constants = [numpy_helper.from_array(np.array(scales, np.float32), "scales")]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 9, 9])
    graph = helper.make_graph([node], "g", [image], [onnx.ValueInfoProto(name="y")], constants)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4))


def run(model):
    image = np.random.default_rng(0).standard_normal((1, 3, 9, 9)).astype(np.float32)
    [found] = open_graph(model, "test").run(None, {"x": image})
    return found


@pytest.mark.parametrize("scales", [(1, 1, 2, 2), (1, 1, 1.7, 3.4), (1, 1, 3, 1)], ids=str)
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("opset", [7, 9, 10])
def test_a_resize_reads_the_same_pixels(opset, mode, scales):
    old = resize(opset, mode, [float(scale) for scale in scales])
    np.testing.assert_allclose(run(convert_opset(old, 21)), run(old), atol=1e-6)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_a_resize_that_shrinks_reads_the_same_pixels(mode):
    old = resize(10, mode, [1.0, 1.0, 0.5, 0.5])
    np.testing.assert_allclose(run(convert_opset(old, 21)), run(old), atol=1e-6)


def test_pixels_repeated_a_whole_number_of_times_are_written_as_ever():
    [node] = [
        node for node in convert_opset(resize(9, "nearest", [1.0, 1.0, 2.0, 2.0]), 21).graph if node.op_type == "Resize"
    ]
    assert set(node.attributes) == {"mode"}
