"""From a PyTorch module to a float ONNX graph.

    trace(module, input_shape) -> ir.Model

`record` runs the module once and writes ONNX as it goes. What it has no rule for, torch.export and PyTorch's own
exporter take over as a whole.
Every node keeps one piece of metadata, `edgekit.module`: the path of the PyTorch module that it came from.
"""

import onnx_ir as ir
import torch
from torch import nn

from edgekit.trace.capture import capture, output_names, require_eval
from edgekit.trace.exporter import export_to_onnx
from edgekit.trace.recorder import record
from edgekit.trace.threads import one_thread

__all__ = ["trace"]


def trace(module: nn.Module, input_shape: tuple[int, ...]) -> ir.Model:
    """Trace `module` at one fixed input shape.

    Args:
        module: in eval mode, float32, on the CPU; one tensor in; out come tensors, in any nesting.
        input_shape: (1, C, H, W) in pixels.

    Returns:
        A float32 graph with static shapes, input `input`, outputs named as edgekit.trace.outputs says.

    Raises:
        EdgekitError: EK203 when the module cannot run at this input shape, EK201 when it cannot be traced.
    """
    require_eval(module)
    with one_thread():
        recorded = record(module, input_shape)
    if recorded is not None:
        return recorded
    with torch.no_grad():
        program = capture(module, input_shape)
        return export_to_onnx(program, output_names(module, input_shape))
