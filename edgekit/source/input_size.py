"""Whether a module can take the input size that was asked for, found out by running it once."""

import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.source.choices import Shape
from edgekit.source.outputs import OutputSpec, describe_outputs
from edgekit.trace.outputs import NotTensors, named_tensors


def check_minimum(shape: Shape, min_input: int, where: str) -> None:
    """EK203 where the shorter side is less than `min_input` pixels: some feature map would be empty."""
    if min(shape[2:]) < min_input:
        raise EdgekitError(
            "EK203",
            what=f"an input of {shape[2]}x{shape[3]} pixels is too small",
            where=where,
            fix=f"--input-size {min_input} or more",
        )


def run_on_zeros(module: nn.Module, shape: Shape, where: str) -> tuple[OutputSpec, ...]:
    """Run `module` on zeros of `shape`; returns what it gives.

    Errors:
        EK203 the module cannot take this size; EK201 it gives back something else than tensors.
    """
    try:
        with torch.no_grad():
            results = module(torch.zeros(shape))
    except Exception as error:  # the user's code can raise anything
        size = "x".join(map(str, shape))
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EdgekitError(
            "EK203",
            what=f"the model cannot take an input of {size}: {reason}",
            where=where,
            fix="choose the size that the model was made for: --input-size HxW",
        ) from error
    try:
        tensors = named_tensors(results)
    except NotTensors as error:
        raise EdgekitError(
            "EK201",
            what=f"the model returns {error}, not tensors",
            where=where,
            fix="wrap it in a module whose forward returns tensors, in tuples, lists, dicts or dataclasses",
        ) from error
    return describe_outputs({name: tuple(tensor.shape) for name, tensor in tensors.items()})
