"""Compute once what two nodes compute alike."""

import onnx_ir as ir
from onnx_ir.passes.common import CommonSubexpressionEliminationPass

from edgekit.graph.module_path import MODULE_KEY, path_of


def eliminate_common_subexpressions(model: ir.Model) -> bool:
    """Nodes of the same operator, inputs and attributes become the first of them.

    A value that two nodes computed had one reader each; now it has two, or a value before it has one reader less, so
    other passes look again. Where both results are graph outputs, an Identity keeps the second one's name.

    Skips: random operators; nodes with subgraphs.
    """
    modified = CommonSubexpressionEliminationPass()(model).modified
    for node in model.graph if modified else ():
        if MODULE_KEY not in node.metadata_props and node.op_type == "Identity":
            source = node.inputs[0].producer() if node.inputs[0] is not None else None
            node.name = node.name or f"{node.outputs[0].name}_copy"
            node.metadata_props[MODULE_KEY] = path_of(source)
    return modified
