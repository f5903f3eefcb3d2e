"""Constants that are stored as integers, given back as the real numbers that they stand for."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.graph.constants import remove_unread
from edgekit.target import FloatArray

INTEGERS = {ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16, ir.DataType.INT32}


def restore_constants(model: ir.Model) -> ir.Model:
    """The graph with a float initializer for every DequantizeLinear of constants; the same graph where it has none.

    ONNX Runtime would do the same when it opens the graph, with the same result to the last bit, but each of its folds
    looks at the whole graph: together they take most of the time in which a deep graph is opened.
    """
    if not any(_is_stored(node) for node in model.graph):
        return model
    restored = model.clone()
    graph = restored.graph
    for node in [node for node in graph if _is_stored(node)]:
        constant = _restored(graph, node)
        for reader, index in tuple(node.outputs[0].uses()):
            reader.replace_input_with(index, constant)
        graph.remove(node, safe=True)
    remove_unread(restored)
    return restored


def _is_stored(node: ir.Node) -> bool:
    """Whether the node is a DequantizeLinear of constants, with one scale or one per slice of an axis."""
    if node.op_type != "DequantizeLinear" or node.domain or "block_size" in node.attributes:
        return False
    read = [value for value in node.inputs if value is not None]
    if any(value.const_value is None or value.is_graph_input() for value in read):
        return False
    stored, scale = read[0], read[1]
    plain = stored.dtype in INTEGERS and scale.dtype == ir.DataType.FLOAT
    return plain and scale.const_value.shape.rank() <= 1 and not node.outputs[0].is_graph_output()  # type: ignore[union-attr]


def _restored(graph: ir.Graph, node: ir.Node) -> ir.Value:
    """What the node gives, as a constant of its result's name."""
    stored, scale, *rest = [value.const_value.numpy() for value in node.inputs if value is not None]  # type: ignore[union-attr]
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
    zero_point = rest[0] if rest else np.zeros_like(scale, np.int32)
    return real_constant(graph, str(node.outputs[0].name), stored, scale, zero_point, axis)


def real_constant(
    graph: ir.Graph,
    name: str,
    stored: NDArray[np.generic],
    scale: NDArray[np.float32],
    zero_point: NDArray[np.generic],
    axis: int,
) -> ir.Value:
    """A float initializer of that name, which nothing in the graph may have yet, with `real_numbers` of the integers.

    It holds the integers and makes the numbers when it is read: a graph lives longer than it takes to open it.
    """
    shape = ir.Shape(stored.shape)
    tensor = ir.LazyTensor(
        lambda: ir.Tensor(real_numbers(stored, scale, zero_point, axis)), ir.DataType.FLOAT, shape, name=name
    )
    value = ir.Value(name=name, shape=shape, type=ir.TensorType(ir.DataType.FLOAT), const_value=tensor)
    graph.register_initializer(value)
    return value


def real_numbers(
    stored: NDArray[np.generic], scale: NDArray[np.float32], zero_point: NDArray[np.generic], axis: int
) -> FloatArray:
    """(stored - zero point) * scale as DequantizeLinear computes it: a difference of integers, a product of float32.

    Args:
        scale, zero_point: one number, or one for each slice of `axis`.
    """
    shape = [1] * stored.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    steps = stored.astype(np.int32) - zero_point.astype(np.int32).reshape(shape)
    real: FloatArray = np.asarray(steps.astype(np.float32) * scale.reshape(shape))
    return real
