"""The PyTorch module's own outputs: what every hop is measured against."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.graph.outputs import stack
from edgekit.target import FloatArray, Outputs
from edgekit.trace.outputs import named_tensors
from edgekit.trace.threads import one_thread

__all__ = ["module_outputs", "one_thread"]


def module_outputs(module: nn.Module, images: FloatArray) -> Outputs:
    """f32[n, C, H, W] -> every output of the module by name. The module is in eval mode.

    Errors:
        EK107 the forward pass raises on an image though it ran on zeros; EK201 it gives another set of outputs there.
    """
    rows: list[list[NDArray[Any]]] = []
    forms: list[dict[str, torch.Size]] = []
    with torch.inference_mode(), one_thread():
        for image in images:  # one by one: batch 1 is what is exported, and memory stays flat
            tensors = _forward(module, image, f"image {len(rows) + 1} of {len(images)}")
            forms.append({name: tensor.shape for name, tensor in tensors.items()})
            rows.append([tensor.numpy() for tensor in tensors.values()])
    if (other := next((n for n, form in enumerate(forms) if form != forms[0]), None)) is not None:
        raise EdgekitError(
            "EK201",
            what=f"the model gives other outputs for image {other + 1} than for the first, in number or shape",
            where=type(module).__name__,
            fix="make their number and shapes independent of what an image shows; a file has one form",
        )
    return stack(list(forms[0]) if forms else [], rows)


def _forward(module: nn.Module, image: FloatArray, which: str) -> dict[str, torch.Tensor]:
    try:
        return named_tensors(module(torch.from_numpy(image[None])))
    except (Exception, SystemExit) as error:  # the user's code can raise anything
        reason = " ".join(str(error).split())[:300] or "no message"
        raise EdgekitError(
            "EK107",
            what=f"the forward pass raised {type(error).__name__} on {which}: {reason}",
            where=type(module).__name__,
            fix="it ran on zeros of this size: make what it computes independent of what an image shows",
        ) from error


def repeats(module: nn.Module, image: FloatArray) -> bool:
    """Whether the module gives the same for one image, f32[C, H, W], when it is run twice."""
    first, second = (module_outputs(module, image[None]) for _ in range(2))
    return all(np.array_equal(values, second[name], equal_nan=True) for name, values in first.items())
