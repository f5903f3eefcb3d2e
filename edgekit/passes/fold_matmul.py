"""Fold a product with a constant matrix into the linear layer that reads it flattened."""

from math import prod

import onnx_ir as ir

from edgekit.passes.rewrite import (
    constant,
    for_each,
    graph_of,
    int_attribute,
    new_constant,
    new_node,
    set_constant,
    shape_of,
    sole_producer,
    substitute,
)


def fold_matmul(model: ir.Model) -> bool:
    """Fold MatMul by a constant into the Gemm behind it, across the Reshape that flattens.

    y = W flatten(x P) + b          W'[o,l,:] = P W[o,l,:]

    AlexNet and VGG bring maps of every size to 6x6 or 7x7 before their largest layer. At small inputs the layer shrinks
    with the map: VGG-16 has 138 million parameters at 224 pixels and 44 million at 64.

    Shapes: x f32[N,L,K]; P f32[K,M]; W f32[O,L*M]; W' f32[O,L*K].
    Skips:  K > M, where W would grow; a product with another use.
    """
    return for_each(model, ("Gemm",), _fold)


def _fold(gemm: ir.Node) -> bool:
    flattened = sole_producer(gemm.inputs[0], "Reshape")
    product = sole_producer(flattened.inputs[0], "MatMul") if flattened is not None else None
    if flattened is None or product is None or product.inputs[0] is None:
        return False
    matrix, weight, shape = constant(product.inputs[1]), constant(gemm.inputs[1]), shape_of(product.inputs[0])
    if matrix is None or weight is None or shape is None or len(shape) < 3 or matrix.ndim != 2:
        return False
    (given, wanted), rows = matrix.shape, prod(shape[1:-1])
    normal = int_attribute(gemm, "transB") == 1 and not int_attribute(gemm, "transA")
    if given > wanted or not normal or shape_of(flattened.outputs[0]) != (shape[0], rows * wanted):
        return False
    new_shape = (shape[0], rows * given)
    target = new_constant(graph_of(gemm), f"{flattened.name}_shape", list(new_shape))
    set_constant(gemm, 1, (weight.reshape(-1, wanted) @ matrix.T).reshape(len(weight), rows * given))
    reshape = new_node("Reshape", [product.inputs[0], target], of=flattened)
    substitute(flattened, [reshape])
    reshape.outputs[0].shape = ir.Shape(new_shape)  # it took over the old one
    return True
