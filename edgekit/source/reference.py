"""The PyTorch module's own outputs: what every hop is measured against."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from edgekit.target import FloatArray


def module_outputs(module: nn.Module, images: FloatArray) -> FloatArray:
    """f32[n, C, H, W] -> the module's first output, f32[n, k], flattened. The module is in eval mode."""
    rows = []
    with torch.inference_mode(), one_thread():
        for image in images:  # one by one: batch 1 is what is exported, and memory stays flat
            output = module(torch.from_numpy(image[None]))
            first = output[0] if isinstance(output, tuple | list) else output
            rows.append(first.reshape(-1).numpy())
    return np.stack(rows).astype(np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    """At batch 1 a second thread saves little, and beside another busy process its barriers cost a hundredfold."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
