"""Whether a module can take the input size that was asked for, found out by running it once."""

import torch
from torch import Tensor, nn

from edgekit.errors import EdgekitError
from edgekit.source.choices import Shape, class_count


def check_minimum(shape: Shape, min_input: int, where: str) -> None:
    """EK203 where the shorter side is less than `min_input` pixels: some feature map would be empty."""
    if min(shape[2:]) < min_input:
        raise EdgekitError(
            "EK203",
            what=f"an input of {shape[2]}x{shape[3]} pixels is too small",
            where=where,
            fix=f"--input-size {min_input} or more",
        )


def run_on_zeros(module: nn.Module, shape: Shape, where: str) -> int | None:
    """Run `module` on zeros of `shape`; returns the number of classes of its first output, if it is a classifier's.

    Errors:
        EK203 the module cannot take this size; EK201 it gives back something else than tensors.
    """
    try:
        with torch.no_grad():
            output = module(torch.zeros(shape))
    except Exception as error:  # the user's code can raise anything
        size = "x".join(map(str, shape))
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EdgekitError(
            "EK203",
            what=f"the model cannot take an input of {size}: {reason}",
            where=where,
            fix="choose the size that the model was made for: --input-size HxW",
        ) from error
    first = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(first, Tensor):
        raise EdgekitError(
            "EK201",
            what=f"the model returns {type(first).__name__}, not a tensor",
            where=where,
            fix="wrap it in a module whose forward returns the scores alone",
        )
    return class_count(tuple(first.shape))
