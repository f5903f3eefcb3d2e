"""Which PyTorch module a node came from: one piece of metadata that every node keeps through all passes."""

import onnx_ir as ir

MODULE_KEY = "edgekit.module"


def path_of(node: ir.Node | None) -> str:
    """The module's path, "features.0.conv"; empty for the root module, for a foreign graph's node and for no node."""
    return "" if node is None else node.metadata_props.get(MODULE_KEY, "")


def module_of(node: ir.Node) -> str:
    """What a user finds the node by: its module's path, or its own name where it has none."""
    return path_of(node) or node.name or ""
