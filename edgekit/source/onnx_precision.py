"""Half-precision ONNX graphs in float32: edgekit's passes, gates and quantizer start from float32."""

import onnx_ir as ir

HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def to_float32(model: ir.Model) -> bool:
    """Turn every float16 and bfloat16 tensor into float32, in place; returns whether there was one.

    Widening is exact, so the weights keep their values; activations gain precision. Casts to half precision become
    casts to float32, which simplification removes.
    """
    graphs = [model.graph, *model.graph.subgraphs()]
    changed = [_widen_values(graph) for graph in graphs]
    changed += [_widen_attributes(node) for graph in graphs for node in graph]
    return any(changed)


def _widen_values(graph: ir.Graph) -> bool:
    constants = list(graph.initializers.values())
    values = [*graph.inputs, *constants, *(value for node in graph for value in node.outputs)]
    half = [value for value in values if value.dtype in HALF]
    for value in half:
        if value.const_value is not None:
            value.const_value = _widened(value.const_value)
        value.dtype = ir.DataType.FLOAT
    return bool(half)


def _widen_attributes(node: ir.Node) -> bool:
    """Tensors and type codes among the node's attributes (Constant, ConstantOfShape, Cast, RandomNormal)."""
    found = False
    for name, attribute in list(node.attributes.items()):
        if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in HALF:
            node.attributes[name] = ir.AttrTensor(name, _widened(attribute.as_tensor()))
            found = True
        if name in ("to", "dtype") and attribute.type == ir.AttributeType.INT and attribute.as_int() in HALF:
            node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT))
            found = True
    return found


def _widened(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype("float32"), name=tensor.name)
