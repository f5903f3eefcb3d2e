"""The constants of a graph."""

import numpy as np
import numpy.typing as npt
import onnx_ir as ir


def new_initializer(graph: ir.Graph, name: str, array: npt.ArrayLike) -> ir.Value:
    """Add a constant of that name, which nothing in the graph may have yet."""
    data = np.asarray(array, order="C")  # ascontiguousarray would make a scalar a vector
    tensor = ir.Tensor(data, name=name)
    value = ir.Value(name=name, shape=ir.Shape(data.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def remove_unread(model: ir.Model) -> None:
    """Remove the initializers that no node reads, in place; ONNX Runtime warns its user about each."""
    for graph in model.graphs():
        for value in list(graph.initializers.values()):
            if not (value.uses() or value.is_graph_output() or value.is_graph_input()):
                del graph.initializers[str(value.name)]
