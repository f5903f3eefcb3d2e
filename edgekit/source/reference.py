"""The PyTorch module's own outputs: what every hop is measured against."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from edgekit.graph.outputs import stack
from edgekit.target import FloatArray, Outputs
from edgekit.trace.outputs import named_tensors
from edgekit.trace.threads import one_thread

__all__ = ["module_outputs", "one_thread"]


def module_outputs(module: nn.Module, images: FloatArray) -> Outputs:
    """f32[n, C, H, W] -> every output of the module by name. The module is in eval mode."""
    rows: list[list[NDArray[Any]]] = []
    names: list[str] = []
    with torch.inference_mode(), one_thread():
        for image in images:  # one by one: batch 1 is what is exported, and memory stays flat
            tensors = named_tensors(module(torch.from_numpy(image[None])))
            names = list(tensors)
            rows.append([tensor.numpy() for tensor in tensors.values()])
    return stack(names, rows)
