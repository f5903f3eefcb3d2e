"""Find group normalisation between the reshapes that it was exported with."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    constant,
    float_attribute,
    for_each,
    graph_of,
    new_constant,
    new_node,
    shape_of,
    sole_producer,
    substitute,
)


def fuse_group_norm(model: ir.Model) -> bool:
    """Reshape to one row per group, InstanceNormalization, Reshape back becomes GroupNormalization.

    The scale and bias of a group are those of each of its channels; what is multiplied and added behind it, channel by
    channel, folds into them (fold_affine).

    Shapes: x f32[N,C,...]; scale, bias f32[G] become f32[C].
    Skips:  rows that are no groups of channels; a value in between with another use; parameters that are not constant.
    Source: Wu and He 2018, arXiv:1803.08494; PyTorch's exporter writes it so.
    """
    return for_each(model, ("Reshape",), _fuse)


def _fuse(back: ir.Node) -> bool:
    norm = sole_producer(back.inputs[0], "InstanceNormalization")
    rows = sole_producer(norm.inputs[0], "Reshape") if norm is not None else None
    if norm is None or rows is None:
        return False
    x, shape, grouped = rows.inputs[0], shape_of(rows.inputs[0]), shape_of(norm.inputs[0])
    parameters = [constant(value) for value in norm.inputs[1:]]
    if x is None or shape is None or grouped is None or shape != shape_of(back.outputs[0]) or len(shape) < 3:
        return False
    if shape[0] != grouped[0] or shape[1] % grouped[1]:
        return False
    scale, bias = parameters
    if scale is None or bias is None:
        return False
    each = [np.repeat(values, shape[1] // grouped[1]) for values in (scale, bias)]
    operands = [x, *(new_constant(graph_of(back), f"{back.name}_{i}", values) for i, values in enumerate(each))]
    attributes = {"num_groups": grouped[1], "epsilon": float_attribute(norm, "epsilon", 1e-5)}
    substitute(back, [new_node("GroupNormalization", operands, attributes, of=norm, shape=shape)])
    return True
