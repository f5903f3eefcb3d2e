"""Gemm and MatMul: FULLY_CONNECTED with constant weights, BATCH_MATMUL between activations."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.targets.tflite.emitter import Emitter, fused_activation
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.layout import Perm, channels_last, identity, stored_shape
from edgekit.targets.tflite.lowerings._window import VALID
from edgekit.targets.tflite.lowerings.convolution import bias_constant, reject_weights, stored_weights
from edgekit.targets.tflite.rules import INTEGERS, lowering

NHWC = channels_last(4)


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


MOST_AXES = 4
"""Of a BATCH_MATMUL; more are made one where both factors have them."""


def legal_matmul(node: Node) -> str | None:
    a, b = node.input(0), node.input(1)
    if a.data is not None and b.data is not None:
        return "both factors are constants; simplify the graph first"
    if b.data is not None and len(b.shape) == 2:
        return reject_weights(node, b)
    if len(a.shape) < 2 or len(b.shape) < 2:
        return "vectors have no BATCH_MATMUL"
    if max(len(a.shape), len(b.shape)) > MOST_AXES and _merged(a, b) is None:
        return f"matrices that broadcast over more than {MOST_AXES} axes have no TFLite kernel"
    return None


def matmul_stays_float(node: Node) -> str | None:
    return "a constant first factor has no integer kernel" if node.input(0).data is not None else None


def product_of_activations(node: Node) -> str | None:
    """XNNPACK refuses the int8 kernel and takes the float one with the DEQUANTIZE and QUANTIZE around it."""
    both = node.input(0).data is None and node.input(1).data is None
    return "XNNPACK has no int8 BATCH_MATMUL" if both else None


@lowering(
    "MatMul",
    ("FULLY_CONNECTED", "CONV_2D", "BATCH_MATMUL"),
    integer=INTEGERS,
    legal=legal_matmul,
    stays_float=matmul_stays_float,
    slow_int8=product_of_activations,
)
def lower_matmul(em: Emitter, node: Node) -> None:
    """x @ constant [I, O] is a FULLY_CONNECTED over the last axis, in whatever layout the other axes lie.

    A constant in front, and one behind the columns of a map, is a BATCH_MATMUL over the axis where it lies. Between
    activations: BATCH_MATMUL on ONNX order; factors whose last two axes are stored swapped are passed as they lie, with
    adjX / adjY, instead of being transposed.
    """
    a, b = node.input(0), node.input(1)
    if (matrix := _matrix(a)) is not None and len(a.shape) <= len(b.shape):
        _contract(em, node, b, len(b.shape) - 2, replace(a, shape=matrix.shape, data=matrix))
        return
    if b.data is not None and len(b.shape) == 2:
        if b.quant is None and not em.is_dynamic(b.data) and em.layout(a) == NHWC:
            _contract(em, node, a, 3, transposed(b))
            return
        fully_connected(em, node, transposed(b), None)
        return
    merged = _merged(a, b) if len(node.output.shape) > MOST_AXES else None
    factors = [_factor(em, tensor) for tensor in (a, b)]
    shape, inputs = node.output.shape, [em.input(t, perm) for t, (perm, _) in zip((a, b), factors, strict=True)]
    if merged is not None:
        shape = (max(merged), *shape[-2:])
        inputs = [_as_three(em, t, *factor, n) for t, factor, n in zip((a, b), factors, merged, strict=True)]
    options = {"adjX": factors[0][1], "adjY": factors[1][1]}
    _write_product(em, node, inputs, shape, options)


def _write_product(em: Emitter, node: Node, inputs: list[int], shape: tuple[int, ...], options: dict[str, Any]) -> None:
    """BATCH_MATMUL, which has no fused activation, on ONNX order."""
    whole = identity(len(node.output.shape))
    free = node.clamp is None or fused_activation(node.clamp, node.output) == 0
    result = node.output if free else em.scratch(node.output)
    product = result if shape == result.shape else em.scratch(result, shape)
    em.write("BATCH_MATMUL", inputs, product, identity(len(shape)), options)
    if product is not result:
        em.reshape(product, result, whole)
    if result is not node.output and node.clamp is not None:
        em.clamp(result, node.output, node.clamp)


def _matrix(tensor: Tensor) -> NDArray[Any] | None:
    """A constant that is one matrix, whatever leading axes of size 1 it has."""
    if tensor.data is None or tensor.quant is not None or len(tensor.shape) < 2 or set(tensor.shape[:-2]) - {1}:
        return None
    return tensor.data.reshape(tensor.shape[-2:])


def _contract(em: Emitter, node: Node, source: Tensor, axis: int, weights: Tensor) -> None:
    """The products of a constant matrix [O, I] with a value along one axis of it, in the layout in which it lies.

    What is stored before that axis counts as images, what is stored behind it as columns.
    """
    perm = em.layout(source)
    place = perm.index(axis)
    stored = stored_shape(source.shape, perm)
    outer, inner = int(np.prod(stored[:place])), int(np.prod(stored[place + 1 :]))
    rows, size = weights.shape
    if inner == 1:
        _fully_connected_along(em, node, source, weights, (outer, size), perm)
        return
    flat, made = em.scratch(source, (outer, size, inner)), em.scratch(node.output, (outer, rows, inner))
    em.reshape(source, flat, identity(3))
    assert weights.data is not None
    matrix = em.weights(weights.name, weights.data, None, 0, dynamic=False)
    product = made if node.clamp is None else em.scratch(made)
    em.write("BATCH_MATMUL", [matrix, em.input(flat)], product, identity(3), {"adjX": False, "adjY": False})
    if node.clamp is not None:
        em.clamp(product, made, node.clamp)
    em.reshape(made, node.output, perm)


def _fully_connected_along(
    em: Emitter, node: Node, source: Tensor, weights: Tensor, shape: tuple[int, int], perm: Perm
) -> None:
    """The axis is stored last: its products are a FULLY_CONNECTED, as of any weights."""
    rows, flat = em.scratch(node.output, (shape[0], weights.shape[0])), em.scratch(source, shape)
    em.reshape(source, flat, identity(2))
    fully_connected(em, replace(node, inputs=[flat], outputs=[rows]), weights, None)
    em.reshape(rows, node.output, perm)


def _merged(a: Tensor, b: Tensor) -> tuple[int, int] | None:
    """How many matrices each factor has, where they are the same ones, or one factor is a single matrix."""
    first, second = a.shape[:-2], b.shape[:-2]
    counts = int(np.prod(first)), int(np.prod(second))
    rank = max(len(first), len(second))
    same = (1,) * (rank - len(first)) + first == (1,) * (rank - len(second)) + second
    return counts if same or 1 in counts else None


def _as_three(em: Emitter, tensor: Tensor, perm: Perm, adjoint: bool, count: int) -> int:
    """A factor of many axes as [count, rows, columns]."""
    flat = em.scratch(tensor, (count, *tensor.shape[-2:]))
    if tensor.data is not None:
        flat.data = tensor.data.reshape(flat.shape)
        return em.input(flat)
    em.reshape(em.moved(tensor, perm), flat, (0, 2, 1) if adjoint else identity(3))
    return em.input(flat)


def _factor(em: Emitter, tensor: Tensor) -> tuple[Perm, bool]:
    """(layout to pass, whether its matrices lie transposed)."""
    rank = len(tensor.shape)
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    if not tensor.is_constant and em.layout(tensor) == swapped:
        return swapped, True
    return identity(rank), False
