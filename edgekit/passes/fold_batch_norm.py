"""Fold BatchNormalization into the linear operator before it."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.fold_affine import scale_outputs
from edgekit.passes.rewrite import Array, bypass, constant, float_attribute, for_each, int_attribute, sole_producer


def fold_batch_norm(model: ir.Model) -> bool:
    """Fold BatchNormalization into the Conv or Gemm before it.

    W' = W * g / sqrt(v + eps)          b' = (b - m) * g / sqrt(v + eps) + beta

    Shapes: W f32[O,I/groups,kH,kW] or f32[O,I]; g, beta, m, v, b f32[O].
    Skips:  a Conv output with another use; statistics that are computed at run time. A weight shared with another node
        is copied.
    Source: Jacob et al. 2018, arXiv:1712.05877, section 3.2.
    """
    return for_each(model, ("BatchNormalization",), _fold)


def batch_norm_affine(node: ir.Node) -> tuple[Array, Array] | None:
    """(scale, offset) f64[C] of an inference-mode BatchNormalization: y = x * scale + offset."""
    parameters = [constant(value) for value in node.inputs[1:5]]
    known = [array.astype(np.float64) for array in parameters if array is not None]
    if len(known) != 4 or int_attribute(node, "training_mode"):
        return None
    gamma, beta, mean, variance = known
    scale = gamma / np.sqrt(variance + (float_attribute(node, "epsilon", 1e-5)))
    return scale, beta - mean * scale


def _fold(node: ir.Node) -> bool:
    linear = sole_producer(node.inputs[0], "Conv", "ConvTranspose", "Gemm")
    affine = batch_norm_affine(node)
    if linear is None or affine is None or not scale_outputs(linear, *affine):
        return False
    return bypass(node, linear.outputs[0])
