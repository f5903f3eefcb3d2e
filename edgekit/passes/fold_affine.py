"""Fold arithmetic by per-channel constants into the operator before it that has such constants itself."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    Array,
    bypass,
    constant,
    constant_operand,
    float_attribute,
    for_each,
    graph_of,
    int_attribute,
    new_constant,
    set_constant,
    shape_of,
    sole_producer,
)

SCALED_BY_CHANNEL = ("Conv", "ConvTranspose", "Gemm", "InstanceNormalization", "GroupNormalization")
"""Operators whose second and third operand are a factor and a bias for each output channel."""


def fold_affine(model: ir.Model) -> bool:
    """Fold Mul, Div, Add and Sub by a constant per channel into the Conv, Gemm or normalization before them.

    y = (W x + b) * s + o          W' = W * s          b' = b * s + o

    Shapes: W f32[O,I/groups,kH,kW] or f32[O,I]; b, s, o f32[O] (broadcast against channels) or scalars.
    Skips:  a linear output with another use; a constant that varies over pixels; constant / x.
    """
    return for_each(model, ("Mul", "Div", "Add", "Sub"), _fold)


def affine_of(node: ir.Node, channels: int) -> tuple[ir.Value, Array, Array] | None:
    """Read a node as x * scale + offset: (x, scale f64[C], offset f64[C]); None when it is not of that form."""
    operand = constant_operand(node)
    shape = shape_of(operand[0]) if operand is not None else None
    if operand is None or shape is None or len(shape) < 2 or shape != shape_of(node.outputs[0]) or shape[1] != channels:
        return None
    source, array, index = operand
    number = _per_channel(array, len(shape), channels)
    if number is None:
        return None
    one, zero = np.ones(channels), np.zeros(channels)
    match node.op_type:
        case "Mul":
            return source, number, zero
        case "Add":
            return source, one, number
        case "Sub":
            return (source, one, -number) if index == 1 else (source, -one, number)
        case "Div" if index == 1 and (number != 0).all():
            return source, 1 / number, zero
    return None


def _per_channel(array: Array, rank: int, channels: int) -> Array | None:
    """A constant as f64[C] when it broadcasts along axis 1 only."""
    if array.ndim > rank:
        return None
    full = array.astype(np.float64).reshape((1,) * (rank - array.ndim) + array.shape)
    varies = [axis for axis, size in enumerate(full.shape) if size != 1]
    if varies not in ([], [1]):
        return None
    return np.broadcast_to(full.reshape(-1), (channels,))


def scale_outputs(linear: ir.Node, scale: Array, offset: Array) -> bool:
    """Scale and shift the output channels of one of SCALED_BY_CHANNEL by its constants, in float64.

    Returns False, and changes nothing, when its weight or bias is not constant or not laid out as canonical.
    """
    weight = constant(linear.inputs[1])
    has_bias = len(linear.inputs) > 2 and linear.inputs[2] is not None
    bias = constant(linear.inputs[2]) if has_bias else np.zeros(1)
    axis = _output_axis(linear)
    if weight is None or bias is None or axis is None or weight.shape[axis] != scale.size:
        return False
    along = [1] * weight.ndim
    along[axis] = -1
    set_constant(linear, 1, (weight.astype(np.float64) * scale.reshape(along)).astype(weight.dtype))
    shifted = (bias.astype(np.float64) * scale + offset).astype(weight.dtype)
    if has_bias:
        set_constant(linear, 2, shifted)
        return True
    name = (linear.inputs[1].name or "linear").removesuffix(".weight") + ".bias"  # type: ignore[union-attr]  # a constant
    linear.resize_inputs(3)
    linear.replace_input_with(2, new_constant(graph_of(linear), name, shifted))
    return True


def _output_axis(linear: ir.Node) -> int | None:
    """The weight's axis of output channels; None for a layout that no pass scales."""
    if linear.op_type == "ConvTranspose":
        return 1 if int_attribute(linear, "group", 1) == 1 else None
    if linear.op_type != "Gemm":
        return 0
    if float_attribute(linear, "alpha", 1.0) != 1 or float_attribute(linear, "beta", 1.0) != 1:
        return None
    return 0 if int_attribute(linear, "transB") else 1


def _fold(node: ir.Node) -> bool:
    channels = shape_of(node.outputs[0])
    affine = affine_of(node, channels[1]) if channels is not None and len(channels) > 1 else None
    if affine is None:
        return False
    source, scale, offset = affine
    linear = sole_producer(source, *SCALED_BY_CHANNEL)
    if linear is None or not scale_outputs(linear, scale, offset):
        return False
    return bypass(node, source)
