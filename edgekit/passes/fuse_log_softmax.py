"""Take the logarithm of probabilities before they are stored in integers."""

import onnx_ir as ir

from edgekit.passes.rewrite import for_each, int_attribute, new_node, shape_of, substitute


def fuse_log_softmax(model: ir.Model) -> bool:
    """Log(Softmax(x)) becomes LogSoftmax(x); the Softmax stays where something else reads it.

    Eight bits hold no probability between 0 and 1/256: all below are 0, and their logarithms infinite. In a float graph
    both compute the same, and XNNPACK has no LOG_SOFTMAX: there it is left alone.
    """
    return for_each(model, ("Log",), _fuse)


def _fuse(node: ir.Node) -> bool:
    source = node.inputs[0]
    softmax = source.producer() if source is not None else None
    if softmax is None or softmax.op_type != "Softmax":
        return False
    axis = int_attribute(softmax, "axis", -1)
    logits = softmax.inputs[0]
    substitute(node, [new_node("LogSoftmax", [logits], of=node, shape=shape_of(logits), attributes={"axis": axis})])
    return True
