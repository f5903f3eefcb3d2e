"""Runs a graph of the pipeline in ONNX Runtime, so that its outputs can be compared."""

import numpy as np
import onnx_ir as ir

from edgekit.graph.session import REFUSALS, open_graph, refused
from edgekit.target import FloatArray


class GraphRunner:
    """A graph with batch size 1 as a function: f32[n, C, H, W] -> its first output per image, f32[n, k], flattened.

    In a graph with Q/DQ nodes quantization is simulated in float: what the scales say, and no kernel's rounding.
    """

    def __init__(self, model: ir.Model) -> None:
        self._name = model.graph.name or "graph"
        # Q/DQ nodes are computed as they stand; constant ones (weights) once instead of in each run.
        self._session = open_graph(model, self._name, session_disable_quant_qdq="1")
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def __call__(self, images: FloatArray) -> FloatArray:
        try:
            rows = [self._session.run([self._output], {self._input: image[None]})[0] for image in images]
        except REFUSALS as error:
            raise refused(error, self._name) from error
        return np.stack([np.asarray(row, dtype=np.float32).reshape(-1) for row in rows])
