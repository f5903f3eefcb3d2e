"""The constants of a graph."""

import onnx_ir as ir


def remove_unread(model: ir.Model) -> None:
    """Remove the initializers that no node reads, in place; ONNX Runtime warns its user about each."""
    for graph in model.graphs():
        for value in list(graph.initializers.values()):
            if not (value.uses() or value.is_graph_output() or value.is_graph_input()):
                del graph.initializers[str(value.name)]
