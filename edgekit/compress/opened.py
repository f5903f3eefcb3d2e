"""The form of a graph that is compressed: canonical, but with its normalization layers, which are trained further."""

import onnx_ir as ir
from onnx_ir.passes import common
from torch import nn

from edgekit.passes import run_to_fixed_point
from edgekit.passes.canonicalize_auto_pad import canonicalize_auto_pad
from edgekit.passes.canonicalize_axes import canonicalize_axes
from edgekit.passes.canonicalize_clip import canonicalize_clip
from edgekit.passes.canonicalize_gemm import canonicalize_gemm
from edgekit.passes.canonicalize_reduce_mean import canonicalize_reduce_mean
from edgekit.passes.canonicalize_reshape import canonicalize_reshape
from edgekit.passes.channels import picked_channels
from edgekit.passes.eliminate_expand import eliminate_expand
from edgekit.passes.eliminate_identity import eliminate_identity
from edgekit.passes.fold_constants import fold_constants
from edgekit.passes.fuse_gelu import fuse_gelu
from edgekit.passes.fuse_hard_sigmoid import fuse_hard_sigmoid
from edgekit.passes.fuse_hard_swish import fuse_hard_swish
from edgekit.passes.fuse_layer_norm import fuse_layer_norm
from edgekit.passes.normal_form import finish, open_graph
from edgekit.passes.rewrite import new_constant, new_node, shape_of, substitute
from edgekit.trace import trace

TRAINABLE = (
    fold_constants,
    eliminate_identity,
    eliminate_expand,
    canonicalize_auto_pad,
    canonicalize_axes,
    canonicalize_clip,
    canonicalize_gemm,
    canonicalize_reduce_mean,
    canonicalize_reshape,
    fuse_hard_sigmoid,
    fuse_hard_swish,
    fuse_gelu,
    fuse_layer_norm,
)
"""Passes of `simplify` that leave every weight where training put it: nothing is folded into another layer."""


def open_module(module: nn.Module, input_shape: tuple[int, ...]) -> ir.Model:
    """The graph of a module in eval mode, in the form that this package works on."""
    return open_for_compression(trace(module, input_shape))


def open_for_compression(model: ir.Model) -> ir.Model:
    """The graph in the form that this package works on, as a new model: static shapes, constants as initializers."""
    result = open_graph(model)
    run_to_fixed_point(result, TRAINABLE)
    gather_shuffles(result)
    finish(result)
    return result


def gather_shuffles(model: ir.Model) -> None:
    """Channel shuffles as Gathers, in place: an index can lose any channel, a reshape only whole rows.

    The passes behind the trace route both into the weights around them.
    """
    for node in list(model.graph):
        picked = picked_channels(node) if node.op_type == "Reshape" and not node.domain else None
        if picked is not None:
            source, order = picked
            index = new_constant(model.graph, f"{node.outputs[0].name}_order", order)
            shape = shape_of(node.outputs[0])
            assert shape is not None
            substitute(node, [new_node("Gather", [source, index], {"axis": 1}, of=node, shape=shape)])
    common.RemoveUnusedNodesPass()(model)
