"""Find hard-sigmoid in the arithmetic that it was exported as."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.canonicalize_clip import clip_bounds
from edgekit.passes.patterns import affine_forms, close, product
from edgekit.passes.rewrite import for_each, new_node, shape_of, sole_producer, substitute


def fuse_hard_sigmoid(model: ir.Model) -> bool:
    """relu6(x + 3) / 6, clip(x / 6 + 1/2, 0, 1) and their kind become HardSigmoid(alpha=1/6, beta=1/2).

    k * clip(a x + b, l, h) = clip(k a x + k b, k l, k h) for k > 0; it is hard-sigmoid when that is
    clip(x / 6 + 1/2, 0, 1).

    Skips:  a value between x and the result with another use.
    Source: Howard et al. 2019, arXiv:1905.02244, section 5.2.
    """
    return for_each(model, ("Clip", "Mul", "Div"), _fuse)


def clipped_affine(clip: ir.Node, k: float) -> ir.Value | None:
    """x when k * clip(...) is hard_sigmoid(x), else None."""
    bounds = clip_bounds(clip)
    if bounds is None or clip.inputs[0] is None or not (close(k * bounds[0], 0) and close(k * bounds[1], 1)):
        return None
    for x, a, b in affine_forms(clip.inputs[0]):
        if close(k * a, 1 / 6) and close(k * b, 0.5):
            return x
    return None


def _fuse(node: ir.Node) -> bool:
    clip: ir.Node | None = node
    k = 1.0
    if node.op_type != "Clip":
        k, factors = product(node)
        clip = sole_producer(factors[0], "Clip") if len(factors) == 1 else None
    x = clipped_affine(clip, k) if clip is not None and np.isfinite(k) and k > 0 else None
    if x is None or shape_of(x) != shape_of(node.outputs[0]):
        return False
    attributes = {"alpha": 1 / 6, "beta": 0.5}
    substitute(node, [new_node("HardSigmoid", [x], attributes, of=node, shape=shape_of(x))])
    return True
