"""Let arithmetic broadcast by itself."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    bypass,
    constant,
    float_dtype,
    for_each,
    graph_of,
    new_constant,
    new_node,
    remove_unused,
    shape_of,
    substitute,
)

BROADCASTING = ("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max")


def eliminate_expand(model: ir.Model) -> bool:
    """Remove Expand and Tile, which copy a value along axes and have no kernel in XNNPACK.

    An operator that broadcasts reads the value itself: squeeze-and-excitation is often written `x * gate.expand_as(x)`.
    Anything else reads the value times ones. Copies of an axis longer than 1 are a Concat.

    Skips: unknown shapes or repeats; values that are not float.
    """
    joined = for_each(model, ("Tile",), _join)
    return for_each(model, ("Expand",), _eliminate) or joined


def _join(node: ir.Node) -> bool:
    """Tile as one Concat for each axis longer than 1, then an Expand."""
    source, repeats = node.inputs[0], constant(node.inputs[1])
    shape, after = shape_of(source), shape_of(node.outputs[0])
    if source is None or repeats is None or shape is None or after is None:
        return False
    nodes: list[ir.Node] = []
    for axis, repeat in enumerate(repeats.tolist()):
        if repeat > 1 and shape[axis] > 1:
            shape = (*shape[:axis], shape[axis] * repeat, *shape[axis + 1 :])
            attributes, suffix = {"axis": axis}, f"axis{axis}"
            nodes.append(new_node("Concat", [source] * repeat, attributes, of=node, suffix=suffix, shape=shape))
            source = nodes[-1].outputs[0]
    target = new_constant(graph_of(node), f"{node.name}_shape", np.array(after, np.int64))
    substitute(node, [*nodes, new_node("Expand", [source, target], of=node, shape=after)])
    return True


def _eliminate(node: ir.Node) -> bool:
    source, output = node.inputs[0], node.outputs[0]
    before, after = shape_of(source), shape_of(output)
    floating = source is not None and source.dtype is not None and source.dtype.is_floating_point()
    if source is None or before is None or after is None or not floating or 0 in after:
        return False
    if before == after:
        return bypass(node, source)
    for reader, index in tuple(output.uses()):
        if len(before) == len(after) and _broadcasts(reader, index, before):
            reader.replace_input_with(index, source)
    if output.uses() or output.is_graph_output():
        substitute(node, _times_ones(node, source, before, after))
    else:
        remove_unused(node)
    return True


def _broadcasts(reader: ir.Node, index: int, shape: tuple[int, ...]) -> bool:
    """Whether `reader` gives the same with a value of `shape` as its input."""
    if reader.domain or reader.op_type not in BROADCASTING:
        return False
    others = [shape_of(value) for place, value in enumerate(reader.inputs) if place != index]
    known = [other for other in others if other is not None]
    return len(known) == len(others) and np.broadcast_shapes(shape, *known) == shape_of(reader.outputs[0])


def _times_ones(node: ir.Node, source: ir.Value, before: tuple[int, ...], after: tuple[int, ...]) -> list[ir.Node]:
    nodes, full = [], (1,) * (len(after) - len(before)) + before
    if full != before:
        shape = new_constant(graph_of(node), f"{node.name}_rank", np.array(full, np.int64))
        nodes.append(new_node("Reshape", [source, shape], of=node, suffix="rank", shape=full))
        source = nodes[-1].outputs[0]
    copies = [size if old == 1 else 1 for old, size in zip(full, after, strict=True)]
    ones = new_constant(graph_of(node), f"{node.name}_ones", np.ones(copies, float_dtype(source)))
    return [*nodes, new_node("Mul", [source, ones], of=node, shape=after)]
