"""Whether a module can take the input size that was asked for, found out by running it once."""

import torch
from torch import Tensor, nn

from edgekit.errors import EdgekitError
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess

Shape = tuple[int, int, int, int]

REFUSALS = (RuntimeError, ValueError, AssertionError, IndexError, ZeroDivisionError, TypeError)
"""What modules raise on a size they cannot take: torch itself, and the checks that libraries make."""


def chosen_preprocess(recipe: Recipe, default: Preprocess) -> Preprocess:
    """What the recipe says, else what the weights say, at the recipe's input size."""
    preprocess = recipe.preprocess or default
    return preprocess.at(*recipe.input_size) if recipe.input_size else preprocess


def input_shape(preprocess: Preprocess) -> Shape:
    """(1, C, H, W) of the tensor that the preprocessing gives."""
    return (1, len(preprocess.mean), *preprocess.crop)


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
    """Run `module` on zeros of `shape`; returns the number of classes where the output is [1, classes].

    Errors:
        EK203 the module cannot take this size; EK201 it gives back something else than tensors.
    """
    try:
        with torch.no_grad():
            output = module(torch.zeros(shape))
    except REFUSALS as error:
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
    return first.shape[1] if first.dim() == 2 else None
