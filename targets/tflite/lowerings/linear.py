"""Gemm and MatMul: FULLY_CONNECTED with constant weights, BATCH_MATMUL between activations."""

from dataclasses import replace

import numpy as np

from edgekit.targets.tflite.emitter import Emitter, fused_activation
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.layout import Perm, identity
from edgekit.targets.tflite.lowerings._window import VALID
from edgekit.targets.tflite.lowerings.convolution import bias_constant, reject_weights, stored_weights
from edgekit.targets.tflite.rules import INTEGERS, lowering


def legal_gemm(node: Node) -> str | None:
    weights, bias = node.input(1), node.optional(2)
    if weights.data is None or (bias is not None and bias.data is None):
        return "weights and bias must be constants"
    if node.attrs.get("transA", 0) or node.attrs.get("alpha", 1.0) != 1.0 or node.attrs.get("beta", 1.0) != 1.0:
        return "transA, alpha and beta are not supported"
    return reject_weights(node, weights)


@lowering("Gemm", ("FULLY_CONNECTED", "CONV_2D"), integer=INTEGERS, legal=legal_gemm)
def lower_gemm(em: Emitter, node: Node) -> None:
    weights = node.input(1) if node.attrs.get("transB", 0) else transposed(node.input(1))
    fully_connected(em, node, weights, node.optional(2))


def fully_connected(em: Emitter, node: Node, weights: Tensor, bias: Tensor | None) -> None:
    """FULLY_CONNECTED over the last axis; weights [O, I] in ONNX order."""
    source = node.input(0)
    perm = _inner_last(em, source)
    assert weights.data is not None
    if weights.quant is None and em.is_dynamic(weights.data):
        _pointwise(em, node, weights, bias, perm)
        return
    keep = len(source.shape) != 2
    bias_index = bias_constant(em, bias, source, weights, weights.shape[0])
    weights_index = stored_weights(em, weights, (0, 1))
    if keep and source.dtype == "int16":
        # Runtime 2.14's int16 kernel takes the first axis for all rows, so they are made one axis.
        rows = int(np.prod(source.shape[:-1]))
        flat, product = em.scratch(source, (rows, source.shape[-1])), em.scratch(node.output, (rows, weights.shape[0]))
        em.reshape(em.moved(source, perm), flat, identity(2))
        em.write("FULLY_CONNECTED", [em.input(flat), weights_index, bias_index], product, identity(2), clamp=node.clamp)
        em.reshape(product, node.output, perm)
        return
    inputs = [em.input(source, perm), weights_index, bias_index]
    version = (5, "2.0.0") if keep else None
    em.write("FULLY_CONNECTED", inputs, node.output, perm, {"keepNumDims": keep}, clamp=node.clamp, version=version)


def _pointwise(em: Emitter, node: Node, weights: Tensor, bias: Tensor | None, perm: Perm) -> None:
    """The same product as a 1x1 CONV_2D over [rows, 1, 1, I].

    Dynamic-range weights per channel: FULLY_CONNECTED has them from runtime 2.17 on only, CONV_2D since 2.4.
    """
    source = node.input(0)
    inner, outer = source.shape[-1], weights.shape[0]
    rows = int(np.prod(source.shape[:-1]))
    wide, product = em.scratch(source, (rows, 1, 1, inner)), em.scratch(node.output, (rows, 1, 1, outer))
    em.reshape(em.moved(source, perm), wide, identity(4))
    kernel = replace(weights, shape=(outer, inner, 1, 1), data=weights.numbers().reshape(outer, inner, 1, 1))
    bias_index = bias_constant(em, bias, source, weights, outer)
    inputs = [em.input(wide), stored_weights(em, kernel, (0, 2, 3, 1)), bias_index]
    options = {"padding": VALID, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    em.write("CONV_2D", inputs, product, identity(4), options, clamp=node.clamp, version=(5, "2.4.0"))
    em.reshape(product, node.output, perm)


def _inner_last(em: Emitter, source: Tensor) -> tuple[int, ...]:
    """The layout in which `source` lies, if its inner axis is stored last; else ONNX order."""
    perm, rank = em.layout(source), len(source.shape)
    return perm if perm[-1] == rank - 1 else identity(rank)


def transposed(weights: Tensor) -> Tensor:
    """[I, O] as [O, I], the channel axis of its scales following."""
    assert weights.data is not None
    quant = weights.quant
    if quant is not None and quant.axis is not None:
        quant = replace(quant, axis=1 - quant.axis)
    return replace(weights, shape=weights.shape[::-1], quant=quant, data=weights.data.T)


def legal_matmul(node: Node) -> str | None:
    a, b = node.input(0), node.input(1)
    if a.data is not None:
        return "a constant first factor has no rule; transpose the product"
    if b.data is not None and len(b.shape) == 2:
        return reject_weights(node, b)
    if len(a.shape) < 2 or len(b.shape) < 2:
        return "vectors have no BATCH_MATMUL"
    return None


@lowering("MatMul", ("FULLY_CONNECTED", "CONV_2D", "BATCH_MATMUL"), integer=INTEGERS, legal=legal_matmul)
def lower_matmul(em: Emitter, node: Node) -> None:
    """x @ constant [I, O] is a FULLY_CONNECTED over the last axis, in whatever layout the other axes lie.

    Between activations: BATCH_MATMUL on ONNX order; factors whose last two axes are stored swapped are passed as
    they lie, with adjX / adjY, instead of being transposed.
    """
    a, b = node.input(0), node.input(1)
    if b.data is not None and len(b.shape) == 2:
        fully_connected(em, node, transposed(b), None)
        return
    (a_perm, adjoint_x), (b_perm, adjoint_y) = _factor(em, a), _factor(em, b)
    options = {"adjX": adjoint_x, "adjY": adjoint_y}
    inputs = [em.input(a, a_perm), em.input(b, b_perm)]
    perm = identity(len(node.output.shape))
    if node.clamp is None or fused_activation(node.clamp, node.output) == 0:
        em.write("BATCH_MATMUL", inputs, node.output, perm, options)
        return
    product = em.scratch(node.output)  # BATCH_MATMUL has no fused activation
    em.write("BATCH_MATMUL", inputs, product, perm, options)
    em.clamp(product, node.output, node.clamp)


def _factor(em: Emitter, tensor: Tensor) -> tuple[tuple[int, ...], bool]:
    """(layout to pass, whether its matrices lie transposed)."""
    rank = len(tensor.shape)
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    if not tensor.is_constant and em.layout(tensor) == swapped:
        return swapped, True
    return identity(rank), False
