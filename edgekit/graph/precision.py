"""ONNX graphs of another precision in float32: edgekit's passes, gates and quantizer start from float32."""

from collections.abc import Sequence

import onnx_ir as ir

HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
DOUBLE = (ir.DataType.DOUBLE,)


def to_float32(model: ir.Model, others: Sequence[ir.DataType] = HALF) -> bool:
    """Turn every tensor of the types `others` into float32, in place; returns whether there was one.

    Widening is exact, so weights in half precision keep their values, and activations gain precision; what was in
    double loses digits that no target has. Casts to those types become casts to float32, which simplification removes.
    """
    graphs = [model.graph, *model.graph.subgraphs()]
    changed = [_change_values(graph, others) for graph in graphs]
    changed += [_change_attributes(node, others) for graph in graphs for node in graph]
    return any(changed)


def _change_values(graph: ir.Graph, others: Sequence[ir.DataType]) -> bool:
    constants = list(graph.initializers.values())
    values = [*graph.inputs, *constants, *(value for node in graph for value in node.outputs)]
    found = [value for value in values if value.dtype in others]
    for value in found:
        if value.const_value is not None:
            value.const_value = _changed(value.const_value)
        value.dtype = ir.DataType.FLOAT
    return bool(found)


def _change_attributes(node: ir.Node, others: Sequence[ir.DataType]) -> bool:
    """Tensors and type codes among the node's attributes (Constant, ConstantOfShape, Cast, RandomNormal)."""
    found = False
    for name, attribute in list(node.attributes.items()):
        if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in others:
            node.attributes[name] = ir.AttrTensor(name, _changed(attribute.as_tensor()))
            found = True
        if name in ("to", "dtype") and attribute.type == ir.AttributeType.INT and attribute.as_int() in others:
            node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT))
            found = True
    return found


def _changed(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype("float32"), name=tensor.name)
