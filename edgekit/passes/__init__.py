"""Passes over the ONNX graph, and the two ordered lists that are kept by hand.

    simplify(model)          -> the canonical float graph: what quantization and the targets expect
    prepare_integer(model)   -> the same without operators that integer kernels run slowly

A pass is `verb_noun(model) -> bool`: in place, True when it changed anything, idempotent.
"""

from collections.abc import Callable, Sequence

import onnx_ir as ir

from edgekit.errors import EdgekitError
from edgekit.passes.canonicalize_auto_pad import canonicalize_auto_pad
from edgekit.passes.canonicalize_average_pool import canonicalize_average_pool
from edgekit.passes.canonicalize_axes import canonicalize_axes
from edgekit.passes.canonicalize_clip import canonicalize_clip
from edgekit.passes.canonicalize_conv import canonicalize_conv
from edgekit.passes.canonicalize_gemm import canonicalize_gemm
from edgekit.passes.canonicalize_prelu import canonicalize_prelu
from edgekit.passes.canonicalize_reduce_mean import canonicalize_reduce_mean
from edgekit.passes.canonicalize_reshape import canonicalize_reshape
from edgekit.passes.chain_concats import chain_concats
from edgekit.passes.decompose_batch_norm import decompose_batch_norm
from edgekit.passes.decompose_hard_sigmoid import decompose_hard_sigmoid
from edgekit.passes.decompose_hard_swish import decompose_hard_swish
from edgekit.passes.decompose_norm import decompose_norm
from edgekit.passes.decompose_prelu import decompose_prelu
from edgekit.passes.eliminate_common_subexpressions import eliminate_common_subexpressions
from edgekit.passes.eliminate_expand import eliminate_expand
from edgekit.passes.eliminate_identity import eliminate_identity
from edgekit.passes.fold_affine import fold_affine
from edgekit.passes.fold_batch_norm import fold_batch_norm
from edgekit.passes.fold_constants import fold_constants
from edgekit.passes.fold_crop import fold_crop
from edgekit.passes.fold_input_affine import fold_input_affine
from edgekit.passes.fold_matmul import fold_matmul
from edgekit.passes.fold_pad import fold_pad
from edgekit.passes.fold_pixel_shuffle import fold_pixel_shuffle
from edgekit.passes.fuse_affine import fuse_affine
from edgekit.passes.fuse_gelu import fuse_gelu
from edgekit.passes.fuse_group_norm import fuse_group_norm
from edgekit.passes.fuse_hard_sigmoid import fuse_hard_sigmoid
from edgekit.passes.fuse_hard_swish import fuse_hard_swish
from edgekit.passes.fuse_layer_norm import fuse_layer_norm
from edgekit.passes.fuse_log_softmax import fuse_log_softmax
from edgekit.passes.normal_form import finish, open_graph
from edgekit.passes.prepend_normalization import prepend_normalization
from edgekit.passes.route_channels import route_channels
from edgekit.passes.run_onnxsim import run_onnxsim
from edgekit.passes.split_depthwise import split_depthwise
from edgekit.passes.widen_windows import widen_windows

__all__ = ["FOR_INTEGERS", "SIMPLIFY", "Pass", "prepare_integer", "prepend_normalization", "simplify"]

Pass = Callable[[ir.Model], bool]

# Each pass may rely on the forms that the ones before it leave.
SIMPLIFY: tuple[Pass, ...] = (
    fold_constants,
    eliminate_identity,
    eliminate_expand,
    canonicalize_auto_pad,
    canonicalize_average_pool,
    canonicalize_axes,
    canonicalize_clip,
    canonicalize_gemm,
    canonicalize_prelu,
    decompose_norm,
    canonicalize_reduce_mean,
    canonicalize_reshape,
    fold_matmul,
    fold_pad,
    fold_crop,
    canonicalize_conv,
    fold_batch_norm,
    decompose_batch_norm,
    widen_windows,
    fuse_hard_sigmoid,
    fuse_hard_swish,
    fuse_gelu,
    fuse_layer_norm,
    fuse_group_norm,
    fold_affine,
    fold_input_affine,
    fuse_affine,
    chain_concats,
    fold_pixel_shuffle,
    route_channels,
    eliminate_common_subexpressions,
)

FOR_INTEGERS: tuple[Pass, ...] = (
    decompose_hard_swish,
    decompose_hard_sigmoid,
    decompose_prelu,
    fuse_log_softmax,
    fold_affine,
    split_depthwise,
    eliminate_common_subexpressions,
)

# A graph settles in two or three rounds; one that does not is undone and redone by two passes.
MAX_ROUNDS = 20


def simplify(model: ir.Model) -> ir.Model:
    """The canonical float graph of `model`, as a new model.

    Opset 21, static shapes and types on every value, constants as initializers, BatchNorm folded, activations as single
    nodes, explicit padding, every Conv and Gemm with a bias; the README of this folder is the docstrings of SIMPLIFY.

    Raises:
        EdgekitError: EK203 for a dynamic shape, EK204 for a quantized graph or one that no pass understands.
    """
    result = open_graph(model)
    run_to_fixed_point(result, SIMPLIFY)
    if run_onnxsim(result):
        run_to_fixed_point(result, SIMPLIFY)
    finish(result)
    return result


def prepare_integer(model: ir.Model) -> ir.Model:
    """The canonical graph for integer activations, as a new model: without the operators that FOR_INTEGERS replaces.

    Args:
        model: what simplify() returned.
    """
    result = model.clone()
    run_to_fixed_point(result, FOR_INTEGERS)
    finish(result)
    return result


def run_to_fixed_point(model: ir.Model, passes: Sequence[Pass]) -> None:
    """Run the list again and again until no pass changes anything."""
    for _ in range(MAX_ROUNDS):
        changed = [each.__name__ for each in passes if each(model)]
        if not changed:
            return
    raise EdgekitError(
        "EK204",
        what=f"the graph does not settle after {MAX_ROUNDS} rounds of passes",
        where=", ".join(changed),
        fix="report it with the model: two passes undo each other",
    )
