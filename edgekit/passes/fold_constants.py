"""Compute now what does not depend on the input."""

import onnx_ir as ir

from edgekit.graph.module_path import MODULE_KEY, path_of
from edgekit.passes.rewrite import constant, shape_of

# Elements. The largest classifier weight of the zoo (VGG: 25088 x 4096) must still be transposed here.
SIZE_LIMIT = 1 << 28


def fold_constants(model: ir.Model) -> bool:
    """Evaluate nodes whose inputs are all constant, and Shape of a static shape; results become initializers.

    onnxscript does the work; it is loaded only when the graph holds such a node.
    """
    if not any(_is_foldable(node) for node in model.graph):
        return False
    from onnxscript.optimizer import fold_constants as evaluate  # 0.2 CPU seconds that most graphs need not pay

    result = evaluate(model, onnx_shape_inference=False, input_size_limit=SIZE_LIMIT, output_size_limit=SIZE_LIMIT)
    ir.passes.common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    _state_shapes(model)
    _name_modules(model)
    return bool(result.modified)


def _state_shapes(model: ir.Model) -> None:
    """Give each constant the shape that it has: the result of an operator of unknown shape kept that, for inference."""
    for value in model.graph.initializers.values():
        if value.const_value is not None and shape_of(value) is None:
            value.shape = ir.Shape(value.const_value.numpy().shape)


def _name_modules(model: ir.Model) -> None:
    """Say of the nodes that onnxscript put in the place of others which module they are of: that of what they read."""
    for node in model.graph:
        if MODULE_KEY not in node.metadata_props:
            makers = (value.producer() for value in node.inputs if value is not None)
            node.metadata_props[MODULE_KEY] = path_of(next((maker for maker in makers if maker is not None), None))


def _is_foldable(node: ir.Node) -> bool:
    if node.op_type == "Shape":
        return shape_of(node.inputs[0]) is not None
    if node.op_type in ("QuantizeLinear", "DequantizeLinear", "RandomNormal", "RandomUniform"):
        return False
    read = [value for value in node.inputs if value is not None]
    return bool(read) and all(constant(value) is not None for value in read)
