"""Gemm and MatMul: FULLY_CONNECTED with constant weights, BATCH_MATMUL between activations."""

from dataclasses import replace

from edgekit.targets.tflite.builtins import Version
from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.layout import identity
from edgekit.targets.tflite.lowerings.convolution import bias_constant, reject_asymmetric, stored_weights
from edgekit.targets.tflite.rules import INTEGERS, lowering


def legal_gemm(node: Node) -> str | None:
    weights, bias = node.input(1), node.optional(2)
    if weights.data is None or (bias is not None and bias.data is None):
        return "weights and bias must be constants"
    if node.attrs.get("transA", 0) or node.attrs.get("alpha", 1.0) != 1.0 or node.attrs.get("beta", 1.0) != 1.0:
        return "transA, alpha and beta are not supported"
    return reject_asymmetric(weights)


@lowering("Gemm", ("FULLY_CONNECTED",), integer=INTEGERS, legal=legal_gemm)
def lower_gemm(em: Emitter, node: Node) -> None:
    weights = node.input(1) if node.attrs.get("transB", 0) else transposed(node.input(1))
    fully_connected(em, node, weights, node.optional(2))


def fully_connected(em: Emitter, node: Node, weights: Tensor, bias: Tensor | None) -> None:
    """FULLY_CONNECTED over the last axis; weights [O, I] in ONNX order."""
    source = node.input(0)
    rank = len(source.shape)
    perm = _inner_last(em, source)
    inputs = [
        em.input(source, perm),
        stored_weights(em, weights, (0, 1)),
        bias_constant(em, bias, source, weights, weights.shape[0]),
    ]
    keep = rank != 2
    version = _version(em, weights, keep)
    options = {"keepNumDims": keep}
    em.write("FULLY_CONNECTED", inputs, node.output, perm, options, clamp=node.clamp, version=version)


def _version(em: Emitter, weights: Tensor, keep: bool) -> Version | None:
    assert weights.data is not None
    if weights.quant is None and em.is_dynamic(weights.data):
        return (12, "2.17.0")  # per-channel weights beside float activations
    return (5, "2.0.0") if keep else None


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
        return reject_asymmetric(b)
    if len(a.shape) < 2 or len(b.shape) < 2:
        return "vectors have no BATCH_MATMUL"
    return None


@lowering("MatMul", ("FULLY_CONNECTED", "BATCH_MATMUL"), integer=INTEGERS, legal=legal_matmul)
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
    em.write("BATCH_MATMUL", inputs, node.output, identity(len(node.output.shape)), options, clamp=node.clamp)


def _factor(em: Emitter, tensor: Tensor) -> tuple[tuple[int, ...], bool]:
    """(layout to pass, whether its matrices lie transposed)."""
    rank = len(tensor.shape)
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    if not tensor.is_constant and em.layout(tensor) == swapped:
        return swapped, True
    return identity(rank), False
