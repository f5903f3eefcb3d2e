"""What is said when ONNX Runtime refuses a graph, and how deep graphs are opened."""

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from edgekit.graph import session
from edgekit.graph.session import reason_of


def test_the_reason_is_whole_in_one_line_and_names_the_node():
    said = (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Reshape node. Name:'node_8' "
        "Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:91 "
        "onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, bool) sizes differ:\n"
        "{1,8} and {9}"
    )
    assert reason_of(RuntimeError(said)) == "node_8 (Reshape): sizes differ: {1,8} and {9}"


def chain(length):
    """Convolutions one after the other, between Q/DQ pairs, f32[1, 8, 6, 6] each."""
    random, nodes, constants, value = np.random.default_rng(0), [], [], "x"
    for index in range(length):
        weight = (0.3 * random.standard_normal((8, 8, 3, 3))).astype(np.float32)
        constants += [
            numpy_helper.from_array(weight, f"w{index}"),
            numpy_helper.from_array(np.float32(0.05), f"s{index}"),
        ]
        nodes += [
            helper.make_node("Conv", [value, f"w{index}"], [f"c{index}"], pads=[1, 1, 1, 1]),
            helper.make_node("QuantizeLinear", [f"c{index}", f"s{index}", "zero"], [f"q{index}"]),
            helper.make_node("DequantizeLinear", [f"q{index}", f"s{index}", "zero"], [f"d{index}"]),
        ]
        value = f"d{index}"
    constants.append(numpy_helper.from_array(np.int8(0), "zero"))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8, 6, 6]) for name in ("x", value)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], constants)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))


def test_a_deep_graph_is_told_by_its_operators_and_not_by_its_pairs(monkeypatch):
    monkeypatch.setattr(session, "DEEP", 8)
    assert not session.is_deep(chain(7))  # 21 nodes
    assert session.is_deep(chain(8))


def test_a_deep_quantized_graph_gives_the_same_integers(monkeypatch):
    model, image = chain(8), np.random.default_rng(1).standard_normal((1, 8, 6, 6), dtype=np.float32)
    [optimized] = session.open_graph(model, "chain", session_disable_quant_qdq="1").run(None, {"x": image})
    monkeypatch.setattr(session, "DEEP", 8)
    [plain] = session.open_graph(model, "chain", session_disable_quant_qdq="1").run(None, {"x": image})
    assert np.ptp(optimized) > 1
    np.testing.assert_array_equal(plain, optimized)
