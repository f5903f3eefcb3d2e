"""Operators that TFLite has no kernel for, written as others that it has: exactly, before anything is lowered.

They run on the graph that the writer was given, float or QDQ. None of these operators is quantized, so what they become
computes in float. What a decomposition skips is refused with the operator's own name.
"""

from collections.abc import Callable

import onnx_ir as ir

from edgekit.graph.shapes import infer_shapes
from edgekit.targets.tflite.decompositions.convolution import decompose_conv
from edgekit.targets.tflite.decompositions.grid_sample import decompose_grid_sample
from edgekit.targets.tflite.decompositions.pad import decompose_pad
from edgekit.targets.tflite.decompositions.recurrent import decompose_recurrent
from edgekit.targets.tflite.decompositions.resize import decompose_resize
from edgekit.targets.tflite.decompositions.scatter import decompose_scatter
from edgekit.targets.tflite.decompositions.unpool import decompose_unpool

DECOMPOSE: tuple[Callable[[ir.Model], bool], ...] = (
    decompose_conv,
    decompose_grid_sample,
    decompose_pad,
    decompose_recurrent,
    decompose_resize,
    decompose_scatter,
    decompose_unpool,
)


def decompose(model: ir.Model) -> None:
    """Run all of them, in place, and give shapes to what they made."""
    changed = [each(model) for each in DECOMPOSE]
    if any(changed):
        infer_shapes(model)
