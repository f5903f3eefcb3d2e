"""What every pass is made of: looking at constants and uses, and putting nodes in the place of others.

A pass never changes an initializer that another node reads, and never fuses a value away that is a graph output or has
another use. A replaced node hands its name, its module path and its output's name to the node that stands for it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgekit.graph.constants import new_initializer

# Elements of any type: initializers hold weights, indices and flags.
Array = npt.NDArray[Any]
AttributeValue = int | float | str | Sequence[int]


def for_each(model: ir.Model, op_types: Sequence[str], rewrite: Callable[[ir.Node], bool]) -> bool:
    """Call `rewrite` on each node of these types, in graph order; nodes removed meanwhile are left out."""
    changed = False
    for node in [node for node in model.graph if node.domain == "" and node.op_type in op_types]:
        if node.graph is not None:
            changed = rewrite(node) or changed
    return changed


def graph_of(node: ir.Node) -> ir.Graph:
    """The graph that a node stands in."""
    if not isinstance(node.graph, ir.Graph):
        raise TypeError(f"node {node.name!r} is not part of a graph")
    return node.graph


def constant(value: ir.Value | None) -> Array | None:
    """The array of an initializer, or None for anything computed at run time."""
    if value is None or value.const_value is None or value.producer() is not None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """The number in a constant of one element, or None."""
    array = constant(value)
    return float(array.reshape(()).astype(np.float64)) if array is not None and array.size == 1 else None


def shape_of(value: ir.Value | None) -> tuple[int, ...] | None:
    """The static shape, or None when the rank or a dimension is not known."""
    if value is None or value.shape is None or not all(isinstance(size, int) for size in value.shape):
        return None
    return tuple(int(size) for size in value.shape)  # type: ignore[arg-type]  # checked: no symbolic dimension


def int_attribute(node: ir.Node, name: str, default: int = 0) -> int:
    """An integer attribute, or what ONNX takes when it is not given."""
    attribute = node.attributes.get(name)
    return attribute.as_int() if attribute is not None else default


def float_attribute(node: ir.Node, name: str, default: float) -> float:
    """A float attribute, or what ONNX takes when it is not given."""
    attribute = node.attributes.get(name)
    return attribute.as_float() if attribute is not None else default


def ints_attribute(node: ir.Node, name: str, default: Sequence[int] = ()) -> list[int]:
    """A list-of-integers attribute, or `default`."""
    attribute = node.attributes.get(name)
    return list(attribute.as_ints()) if attribute is not None else list(default)


def string_attribute(node: ir.Node, name: str, default: str) -> str:
    """A string attribute, or what ONNX takes when it is not given."""
    attribute = node.attributes.get(name)
    return attribute.as_string() if attribute is not None else default


def float_dtype(value: ir.Value) -> np.dtype[np.floating]:
    """The NumPy type of a value's elements; float32 where the graph does not say."""
    return np.dtype(np.float32) if value.dtype is None else np.dtype(value.dtype.numpy())


def produced_by(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node that computes `value` when it is of one of these types."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.domain == "" and node.op_type in op_types else None


def has_one_use(value: ir.Value | None) -> bool:
    """Whether exactly one input of one node reads the value, and nothing else sees it."""
    return value is not None and not value.is_graph_output() and len(value.uses()) == 1


def sole_producer(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node that computes `value`, when it is of these types and the value has one use: it can be fused away."""
    return produced_by(value, *op_types) if has_one_use(value) else None


def constant_operand(node: ir.Node) -> tuple[ir.Value, Array, int] | None:
    """Split a binary node into (run-time input, constant, index of the constant); None when it has no such pair."""
    if len(node.inputs) != 2:
        return None
    for index in (1, 0):
        array, other = constant(node.inputs[index]), node.inputs[1 - index]
        if array is not None and other is not None and constant(other) is None:
            return other, array, index
    return None


def new_constant(graph: ir.Graph, name: str, array: npt.ArrayLike) -> ir.Value:
    """Add an initializer; a name that is taken gets a number."""
    unique, number = name, 0
    while unique in graph.initializers:
        number += 1
        unique = f"{name}_{number}"
    return new_initializer(graph, unique, array)


def set_constant(node: ir.Node, index: int, array: npt.ArrayLike) -> None:
    """Give `node` another constant at input `index`. A constant that something else reads too is left as it is."""
    old = node.inputs[index]
    if old is None:
        raise ValueError(f"node {node.name!r} has no input {index}")
    if has_one_use(old):
        data = np.asarray(array, order="C")
        old.const_value = ir.Tensor(data, name=old.name)
        old.shape, old.type = ir.Shape(data.shape), ir.TensorType(old.const_value.dtype)
    else:
        node.replace_input_with(index, new_constant(graph_of(node), old.name or "constant", array))


def new_node(
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, AttributeValue] | None = None,
    *,
    of: ir.Node,
    suffix: str = "",
    shape: Sequence[int] | None = None,
) -> ir.Node:
    """A node of the same module as `of`; `suffix` tells it from the other nodes made of the same one."""
    name = f"{of.name}_{suffix}" if suffix else of.name
    node = ir.node(op_type, inputs, dict(attributes or {}), name=name, metadata_props=dict(of.metadata_props))
    output = node.outputs[0]
    output.name = f"{of.outputs[0].name}_{suffix}" if suffix else of.outputs[0].name
    output.type = of.outputs[0].type
    output.shape = ir.Shape(shape) if shape is not None else None
    return node


def substitute(root: ir.Node, nodes: Sequence[ir.Node]) -> None:
    """Put `nodes` in the place of `root`: the last one's output becomes root's output.

    Nodes that nothing needs any more, from `root` upwards, are removed.
    """
    graph = graph_of(root)
    ir.convenience.replace_nodes_and_values(graph, root, [], nodes, root.outputs[:1], nodes[-1].outputs[:1])
    remove_unused(root)


def bypass(node: ir.Node, source: ir.Value) -> bool:
    """Let the readers of `node`'s output read `source`; False when that would lose the name of a graph output."""
    output = node.outputs[0]
    if output.is_graph_output():
        if source.is_graph_output() or source.is_graph_input() or source.producer() is None:
            return False
        name, output.name = output.name, None
        source.name = name
    output.replace_all_uses_with(source, replace_graph_outputs=True)
    remove_unused(node)
    return True


def remove_unused(node: ir.Node) -> None:
    """Remove `node` if nothing reads it, then the nodes that only it read."""
    waiting = [node]
    while waiting:
        dead = waiting.pop()
        if dead.graph is None or any(out.uses() or out.is_graph_output() for out in dead.outputs):
            continue
        producers = [value.producer() for value in dead.inputs if value is not None]
        graph_of(dead).remove(dead, safe=True)
        waiting.extend(producer for producer in producers if producer is not None)
