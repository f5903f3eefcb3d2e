"""Writing a Softmax so that ONNX Runtime leaves it alone where its integer kernel is wrong."""

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import new_initializer

KERNEL_STEP = 1 / 256


def write_out_fine_softmaxes(model: ir.Model) -> None:
    """Write each Softmax that is stored in steps finer than 1/256 as exp(x - max) / sum, in place.

    Between integers ONNX Runtime makes it a QLinearSoftmax, whose table of 32-bit sums has room for results in steps of
    1/256 and no finer ones (1.31 at least): with less it gives zeros. The five nodes have no such form and stay float.
    """
    for node in list(model.graph):
        if node.op_type == "Softmax" and node.domain == "" and _finest_step(node.outputs[0]) < KERNEL_STEP:
            _write_out(model.graph, node)


def _finest_step(value: ir.Value) -> float:
    """The smallest scale that the value is stored with; infinite for one that is not."""
    writers = [node for node, index in value.uses() if node.op_type == "QuantizeLinear" and index == 0]
    scales = [node.inputs[1].const_value for node in writers if node.inputs[1] is not None]
    return min((float(scale.numpy().min()) for scale in scales if scale is not None), default=np.inf)


def _write_out(graph: ir.Graph, softmax: ir.Node) -> None:
    source, result = softmax.inputs[0], softmax.outputs[0]
    axis = new_initializer(graph, f"{result.name}_axis", np.array([softmax.attributes.get_int("axis", -1)], np.int64))
    largest = ir.node("ReduceMax", [source, axis])
    moved = ir.node("Sub", [source, largest.outputs[0]])
    power = ir.node("Exp", [moved.outputs[0]])
    total = ir.node("ReduceSum", [power.outputs[0], axis])
    share = ir.node("Div", [power.outputs[0], total.outputs[0]])
    nodes = [largest, moved, power, total, share]
    for node, part in zip(nodes, ("largest", "moved", "power", "total", ""), strict=True):
        node.name = f"{softmax.name}.{part}".rstrip(".")
        node.metadata_props.update(softmax.metadata_props)
        node.outputs[0].name = f"{result.name}_{part}" if part else result.name
        node.outputs[0].type = result.type
    for node in (moved, power, share):
        node.outputs[0].shape = result.shape
    ir.convenience.replace_nodes_and_values(graph, softmax, [softmax], nodes, [result], [share.outputs[0]])
