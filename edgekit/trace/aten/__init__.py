"""One rule per ATen operator: what vision models are made of, as ONNX.

A rule takes the context, the operator's result (a tensor or several: shapes and types), then the operator's arguments
by position, tensors as ONNX values. It returns the value (or the list of values) that stands for the result; what it
leaves out, such as the indices of a max pool, is not in the graph. Names are ATen's own below autograd; `linear`,
`matmul` and `scaled_dot_product_attention` are taken whole.
Source of the semantics: https://docs.pytorch.org/docs/stable/torch.compiler_ir.html and the ATen native functions.
"""

from edgekit.trace.aten import choice, linear, pixels, pointwise, recurrent, reductions, shapes
from edgekit.trace.aten.context import DTYPES, OWN_TYPES, RULES, Context, Untraceable

__all__ = [
    "DTYPES",
    "OWN_TYPES",
    "RULES",
    "Context",
    "Untraceable",
    "choice",
    "linear",
    "pixels",
    "pointwise",
    "recurrent",
    "reductions",
    "shapes",
]
