"""Runs a graph of the pipeline in ONNX Runtime, so that its outputs can be compared."""

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, NotImplemented

from edgekit.artifact import FloatArray
from edgekit.errors import EdgekitError

REFUSALS = (Fail, InvalidArgument, InvalidGraph, NotImplemented)


class GraphRunner:
    """A graph with batch size 1 as a function: f32[n, C, H, W] -> its first output per image, f32[n, k], flattened.

    In a graph with Q/DQ nodes quantization is simulated in float: what the scales say, and no kernel's rounding.
    """

    def __init__(self, model: ir.Model) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        if any(node.op_type == "QuantizeLinear" for node in model.graph):
            # Float arithmetic on dequantized values; weights are dequantized once instead of in each run.
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        self._name = model.graph.name or "graph"
        try:
            self._session = ort.InferenceSession(
                ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except REFUSALS as error:
            raise self._refused(error) from error
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def __call__(self, images: FloatArray) -> FloatArray:
        try:
            rows = [self._session.run([self._output], {self._input: image[None]})[0] for image in images]
        except REFUSALS as error:
            raise self._refused(error) from error
        return np.stack([np.asarray(row, dtype=np.float32).reshape(-1) for row in rows])

    def _refused(self, error: Exception) -> EdgekitError:
        return EdgekitError(
            "EK703",
            what=f"ONNX Runtime refused the graph: {str(error).splitlines()[0]}",
            where=self._name,
            fix="run the model in ONNX Runtime alone; if that works, report this with the model",
        )
