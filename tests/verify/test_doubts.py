"""Who is to blame where the traced graph is not the module."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from edgekit.graph.runner import GraphRunner
from edgekit.verify.doubts import doubts, worst_image
from edgekit.verify.hops import Checked

IMAGES = np.random.default_rng(0).normal(0, 1, (3, 3, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def graph():
    node = helper.make_node("Neg", ["x"], ["y"])
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 8, 8)) for name in ("x", "y")]
    made = helper.make_graph([node], "g", info[:1], info[1:])
    return ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))


def test_a_graph_that_is_the_module_leaves_no_doubt(graph):
    assert doubts(graph, IMAGES, [Checked("torch", {"y": -IMAGES}), Checked("onnx", GraphRunner(graph)(IMAGES))]) == ()


def test_a_wrong_trace_is_not_blamed_on_the_runtime(graph):
    stages = [Checked("torch", {"y": 2 * IMAGES}), Checked("onnx", GraphRunner(graph)(IMAGES))]
    assert doubts(graph, IMAGES, stages) == ()


@pytest.mark.parametrize("given", [{"y": IMAGES[:, :1]}, {"z": IMAGES}])
def test_other_shapes_and_names_are_left_to_the_gate(graph, given):
    assert doubts(graph, IMAGES, [Checked("torch", {"y": IMAGES}), Checked("onnx", given)]) == ()


def test_the_worst_image_is_of_the_output_that_moved_most_for_its_range():
    wanted = {"small": np.array([[0.0], [1.0], [0.5]]), "large": np.array([[0.0], [1000.0], [500.0]])}
    given = {"small": np.array([[0.0], [1.5], [0.5]]), "large": np.array([[0.0], [1000.0], [502.0]])}
    assert worst_image(wanted, given) == 1
