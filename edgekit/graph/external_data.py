"""Graphs whose weights do not fit into one protobuf message: 2 GB, whatever the machine holds.

Their weights stand beside the graph, one after the other, as ONNX's external data.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

MOST_BYTES = 2**31 - 2**24
"""Weights beyond this stand beside the graph; 16 MB are left for nodes, names and shapes."""

SMALLEST_BYTES = 1024
"""Smaller constants stay in the graph: shapes and axes, which tools read to understand it."""

ALIGNMENT = 64
"""Of each tensor in the file of weights, so that a runtime can map it into memory."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Weights taken out of a graph.

    Args:
        model: the graph, which names them as external data.
        tensors: name of the initializer -> its values, in the order of the file.
        offsets: where each stands in the file, in bytes.
        size_bytes: of the whole file.
    """

    model: ir.Model
    tensors: dict[str, NDArray[np.generic]]
    offsets: dict[str, int]
    size_bytes: int

    def file(self) -> bytes:
        """The bytes of the file of weights."""
        content = bytearray(self.size_bytes)
        for name, array in self.tensors.items():
            start = self.offsets[name]
            content[start : start + array.nbytes] = np.ascontiguousarray(array).tobytes()
        return bytes(content)


def is_too_large(model: ir.Model) -> bool:
    """Whether the graph with its weights is more than one message can hold."""
    return sum(tensor.nbytes for tensor in _constants(model).values()) > MOST_BYTES


def put_beside(model: ir.Model, location: str) -> Beside:
    """The graph without its larger constants.

    Args:
        location: name of the file that will hold them, beside the graph's.
    """
    return _take_out(model.clone(), location)


@contextmanager
def put_aside(model: ir.Model, location: str) -> Iterator[Beside]:
    """The same as `put_beside` while the graph is written, and without a copy of it: then it has its constants back.

    Copying the nodes takes as long as writing them, and a graph is opened several times in an export.
    """
    whole = _constants(model)
    try:
        yield _take_out(model, location)
    finally:
        for name, tensor in whole.items():
            model.graph.initializers[name].const_value = tensor


def _take_out(light: ir.Model, location: str) -> Beside:
    tensors: dict[str, NDArray[np.generic]] = {}
    offsets: dict[str, int] = {}
    end = 0
    for name, tensor in _constants(light).items():
        if tensor.nbytes < SMALLEST_BYTES:
            continue
        offset = -(-end // ALIGNMENT) * ALIGNMENT
        array = tensor.numpy()
        tensors[name], offsets[name], end = array, offset, offset + tensor.nbytes
        light.graph.initializers[name].const_value = ir.ExternalTensor(
            location, offset, tensor.nbytes, tensor.dtype, shape=ir.Shape(array.shape), name=name, base_dir=""
        )
    return Beside(light, tensors, offsets, end)


def _constants(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    values = model.graph.initializers
    return {name: value.const_value for name, value in values.items() if value.const_value is not None}
