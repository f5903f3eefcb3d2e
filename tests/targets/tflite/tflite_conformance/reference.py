"""What is right: ONNX Runtime, operator by operator, without its graph optimizations."""

from typing import Any

import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from tflite_conformance.net import Feeds


def run_onnx(model: onnx.ModelProto, feeds: Feeds, every_value: bool = False) -> dict[str, NDArray[Any]]:
    """Outputs by name, or every value that a node makes."""
    if every_value:
        names = [name for node in model.graph.node for name in node.output if name]
        whole = onnx.ModelProto()
        whole.CopyFrom(model)
        del whole.graph.output[:]
        whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        model = whole
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))
