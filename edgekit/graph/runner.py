"""Runs a graph of the pipeline in ONNX Runtime, so that its outputs can be compared."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.graph.outputs import stack
from edgekit.graph.session import REFUSALS, open_graph, refused
from edgekit.graph.stored_constants import restore_constants
from edgekit.target import FloatArray, Outputs

NOTHING: Mapping[str, NDArray[np.generic]] = MappingProxyType({})


class GraphRunner:
    """A graph with batch size 1 as a function: f32[n, C, H, W] -> every output by name.

    In a graph with Q/DQ nodes quantization is simulated in float: what the scales say, and no kernel's rounding.
    """

    def __init__(self, model: ir.Model) -> None:
        self._name = model.graph.name or "graph"
        # Q/DQ nodes are computed as they stand, but for those of constants: they are real numbers before it is opened.
        self._session = open_graph(restore_constants(model), self._name, session_disable_quant_qdq="1")
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, images: FloatArray, beside: Mapping[str, NDArray[np.generic]] = NOTHING) -> Outputs:
        """Run the images.

        Args:
            beside: what further inputs are fed with each image.
        """
        try:
            rows = [self._session.run(self._outputs, {self._input: image[None], **beside}) for image in images]
        except REFUSALS as error:
            raise refused(error, self._name) from error
        return stack(self._outputs, rows)
