"""A graph quantized cheaply, to see what it keeps: nearest rounding, computed in float.

What a trial costs is mostly the opening of its session, so scales and zero points are inputs: one session serves every
criterion of the ranges.
"""

from collections.abc import Collection

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.graph.runner import GraphRunner
from edgekit.quant.assign import assign
from edgekit.quant.layers import constant_layers, store_layers
from edgekit.quant.observers import Range
from edgekit.quant.parameters import QParams
from edgekit.quant.plan import make_plan
from edgekit.quant.qdq import Pair, Writer
from edgekit.recipe import Criterion
from edgekit.target import FloatArray, Outputs


class Trial:
    """An integer-ready float graph in int8, as a function of images and of how its ranges are chosen.

    Args:
        model: it is not changed.
        ranges: what `calibrate` returned for it.
        keep_float: names of nodes that stay in float32.
    """

    def __init__(self, model: ir.Model, ranges: dict[str, Range], keep_float: Collection[str]) -> None:
        self._model, self._ranges, self._plan = model, ranges, make_plan(model, keep_float)
        params = self._assign("mse")
        layers = store_layers(constant_layers(model, self._plan), params, ranges)
        written = model.clone()
        writer = Writer(written, self._plan, params, layers, "int8", real_constants=True)
        writer.write()
        self._pairs = writer.pairs
        for pair in self._pairs:
            for value in (pair.scale, pair.zero_point):
                leave_open(written.graph, value)
        self._runner = GraphRunner(written)

    def __call__(self, images: FloatArray, criterion: Criterion) -> Outputs:
        """Every output by name, for f32[n, C, H, W]."""
        params, beside = self._assign(criterion), {}
        for pair in self._pairs:
            beside.update(numbers(pair, params[pair.stored_as]))
        return self._runner(images, beside)

    def _assign(self, criterion: Criterion) -> dict[str, QParams]:
        return assign(self._model, self._plan, self._ranges, "int8", criterion)


def leave_open(graph: ir.Graph, constant: ir.Value) -> None:
    """Make an input of a constant."""
    del graph.initializers[str(constant.name)]
    constant.const_value = None
    graph.inputs.append(constant)


def numbers(pair: Pair, params: QParams) -> dict[str, NDArray[np.generic]]:
    """What the inputs of a pair are fed."""
    return {
        str(pair.scale.name): np.array(params.scale, np.float32),
        str(pair.zero_point.name): np.array(params.zero_point, params.dtype),
    }
