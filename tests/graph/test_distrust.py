"""Where ONNX Runtime is wrong it is named: its optimization, or the node."""

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnx import TensorProto, helper, numpy_helper

from edgekit.graph.distrust import explain

IMAGE = np.random.default_rng(0).standard_normal((1, 3, 9, 9)).astype(np.float32) - 3


def padded_pool():
    """Zeros before a MaxPool, on negative numbers; ONNX Runtime's Pad_Fusion gives them another maximum."""
    nodes = [
        helper.make_node("Pad", ["x", "amounts"], ["p"], name="pad"),
        helper.make_node("MaxPool", ["p"], ["y"], name="pool", kernel_shape=[3, 3]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 9, 9])],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 1]), "amounts")],
    )
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))


def expected():
    padded = torch.nn.functional.pad(torch.from_numpy(IMAGE), (0, 1, 0, 1))
    return torch.nn.functional.max_pool2d(padded, 3, 1).numpy()


def test_an_optimization_that_changes_the_result_is_named():
    said = explain(padded_pool(), IMAGE, lambda found: np.allclose(found[0], expected()), without=())
    assert "optimization Pad_Fusion changes the result" in said


def test_a_graph_that_is_wrong_itself_is_not_the_runtimes_fault():
    assert explain(padded_pool(), IMAGE, lambda found: np.allclose(found[0], expected() + 1)) == ""
