"""What is said when ONNX Runtime refuses a graph."""

from edgekit.graph.session import reason_of


def test_the_reason_is_whole_in_one_line_and_names_the_node():
    said = (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Reshape node. Name:'node_8' "
        "Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:91 "
        "onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, bool) sizes differ:\n"
        "{1,8} and {9}"
    )
    assert reason_of(RuntimeError(said)) == "node_8 (Reshape): sizes differ: {1,8} and {9}"
