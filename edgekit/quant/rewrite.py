"""Putting other nodes in the place of one, with what they must take over from it."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.graph.constants import new_initializer
from edgekit.quant.operators import is_constant


def add_constant(graph: ir.Graph, name: str, array: NDArray[np.generic]) -> ir.Value:
    """A new initializer; a name that is taken gets a dash."""
    return new_initializer(graph, free_name(graph, name), array)


def free_name(graph: ir.Graph, name: str) -> str:
    """The name, with as many dashes behind it as it takes for no constant to have it."""
    while name in graph.initializers:
        name += "_"
    return name


def replace_node(graph: ir.Graph, old: ir.Node, nodes: list[ir.Node]) -> None:
    """Put these in the place of a node with one result; the last one's is its result.

    They get its module path, and their results its shape. Constants that nothing reads any more are dropped.
    """
    result, last = old.outputs[0], nodes[-1].outputs[0]
    for node in nodes:
        node.metadata_props.update(old.metadata_props)
        node.outputs[0].shape, node.outputs[0].type = result.shape, result.type
    constants = [value for value in old.inputs if value is not None and is_constant(value)]
    graph.insert_before(old, nodes)
    result.replace_all_uses_with(last, replace_graph_outputs=True)
    graph.remove(old, safe=True)
    last.name = result.name
    for constant in constants:
        if not constant.uses():
            graph.initializers.pop(str(constant.name), None)
