"""The PyTorch module's own outputs: what every hop is measured against."""

import numpy as np
import torch
from torch import nn

from edgekit.artifact import FloatArray


def module_outputs(module: nn.Module, images: FloatArray) -> FloatArray:
    """f32[n, C, H, W] -> the module's first output, f32[n, k], flattened. The module is in eval mode."""
    rows = []
    with torch.inference_mode():
        for image in images:  # one by one: batch 1 is what is exported, and memory stays flat
            output = module(torch.from_numpy(image[None]))
            first = output[0] if isinstance(output, tuple | list) else output
            rows.append(first.reshape(-1).numpy())
    return np.stack(rows).astype(np.float32)
