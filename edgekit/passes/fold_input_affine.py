"""Fold arithmetic by per-channel constants into the convolution behind it: how normalisation disappears."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.fold_affine import affine_of
from edgekit.passes.rewrite import (
    Array,
    constant,
    for_each,
    graph_of,
    ints_attribute,
    new_constant,
    new_node,
    remove_unused,
    set_constant,
    shape_of,
    sole_producer,
    substitute,
)

ARITHMETIC = ("Mul", "Div", "Add", "Sub")


def fold_input_affine(model: ir.Model) -> bool:
    """Fold Mul, Div, Add and Sub by a constant per channel into the Conv that alone reads them.

    Conv(x * s + o):    W'[o,i] = W[o,i] * s[i]          b'[o] = b[o] + sum over i,h,w of W[o,i,h,w] * o[i]

    The offset folds only where the Conv does not pad: a padded zero is not a shifted zero. Before a padded Conv
    x * s + o is written as (x + o / s) * s, so that at least the scale folds.

    Shapes: W f32[O,I/groups,kH,kW]; b f32[O]; s, o f32[I] or scalars.
    Skips:  a scaled value with another use; a weight that is computed at run time.
    """
    return for_each(model, ("Conv",), _fold_all)


def _fold_all(conv: ir.Node) -> bool:
    """Fold one after the other; each removes a Mul, Div, Add or Sub or moves an offset past one."""
    changed = False
    while _fold(conv):
        changed = True
    return changed


def _fold(conv: ir.Node) -> bool:
    shape = shape_of(conv.inputs[0])
    node = sole_producer(conv.inputs[0], *ARITHMETIC)
    weight = constant(conv.inputs[1])
    bias = constant(conv.inputs[2]) if len(conv.inputs) > 2 else None
    affine = affine_of(node, shape[1]) if node is not None and shape is not None else None
    if node is None or affine is None or weight is None or bias is None:
        return False
    source, scale, offset = affine
    if offset.any() and _pads(conv):
        return _swap(node, source, scale, offset)
    set_constant(conv, 1, (weight.astype(np.float64) * _on_weight(scale, weight)).astype(weight.dtype))
    if offset.any():
        gain = (weight.astype(np.float64) * _on_weight(offset, weight)).reshape(len(weight), -1).sum(1)
        set_constant(conv, 2, (bias + gain).astype(bias.dtype))
    conv.replace_input_with(0, source)
    remove_unused(node)
    return True


def _pads(conv: ir.Node) -> bool:
    return "auto_pad" in conv.attributes or any(ints_attribute(conv, "pads"))


def _on_weight(per_input: Array, weight: Array) -> Array:
    """f[I] laid along W[O, I/groups, ...]: group k of the outputs reads group k of the inputs."""
    groups = per_input.size // weight.shape[1]
    rows = np.repeat(per_input.reshape(groups, -1), len(weight) // groups, axis=0)
    return rows.reshape(*rows.shape, *[1] * (weight.ndim - 2))


def _swap(node: ir.Node, source: ir.Value, sign: Array, offset: Array) -> bool:
    """x * s + o -> (x + o / s) * s, where o is the node's and s that of the node before it.

    A node o - x has the sign -1, which joins s.
    """
    scaling = sole_producer(source, "Mul", "Div")
    inner = affine_of(scaling, offset.size) if scaling is not None else None
    shape = shape_of(source)
    if scaling is None or inner is None or shape is None or not inner[1].all() or node.outputs[0].dtype is None:
        return False
    graph, dtype, factors = graph_of(node), node.outputs[0].dtype.numpy(), inner[1] * sign
    per_channel = (1, -1, *[1] * (len(shape) - 2))
    shift = new_constant(graph, f"{node.name}_shift", (offset / factors).astype(dtype).reshape(per_channel))
    factor = new_constant(graph, f"{node.name}_scale", factors.astype(dtype).reshape(per_channel))
    shifted = new_node("Add", [inner[0], shift], of=node, suffix="shifted", shape=shape)
    substitute(node, [shifted, new_node("Mul", [shifted.outputs[0], factor], of=node, shape=shape)])
    return True
