"""Weights that training kept in parts: what weight norm and pruning put in the place of a tensor, multiplied out.

`torch.nn.utils.weight_norm` keeps a length and a direction, its successor in `parametrizations` the same under other
names, `torch.nn.utils.prune` the weights and a mask. Each tells the tensor that the layer computes with, exactly.
Spectral norm does not: which axis it was taken over is known to the layer alone.
"""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

State = dict[str, Tensor]


def normalized(direction: Tensor, length: Tensor) -> Tensor:
    """g * v / |v|, the norm over the axes that g does not have; Salimans and Kingma 2016, arXiv:1602.07868."""
    axes = [axis for axis in range(direction.ndim) if length.ndim == 0 or length.shape[axis] == 1]
    values = direction.float()
    return values * (
        length.float() / (torch.linalg.vector_norm(values, dim=axes, keepdim=True) if axes else values.abs())
    )


def masked(weights: Tensor, mask: Tensor) -> Tensor:
    return weights * mask.to(weights.dtype)


FORMS: tuple[tuple[re.Pattern[str], str, Callable[[Tensor, Tensor], Tensor]], ...] = (
    (re.compile(r"(.*?)(\w+)_v"), r"\1\2_g", normalized),
    (re.compile(r"(.*?)parametrizations\.(\w+)\.original1"), r"\1parametrizations.\2.original0", normalized),
    (re.compile(r"(.*?)(\w+)_orig"), r"\1\2_mask", masked),
)
"""The name of the part that has the tensor's shape, the name of the other, and what the two make."""


def multiplied_out(wanted: Mapping[str, Tensor], given: State) -> tuple[State, int]:
    """`given` with each tensor that it keeps in parts, under its own name in place of these, and how many there were.

    Args:
        wanted: the model's names; a model that has the parts itself gets them as they are.
    """
    made: State = {}
    gone: set[str] = set()
    for name, value in given.items():
        whole, other, combine = _form(name, given)
        if combine is None or whole in given or any(key.endswith(name.rpartition(".")[2]) for key in wanted):
            made[name] = value
        else:
            made[whole] = combine(value, given[other])
            gone.add(other)
    return {name: value for name, value in made.items() if name not in gone}, len(gone)


def _form(name: str, given: State) -> tuple[str, str, Callable[[Tensor, Tensor], Tensor] | None]:
    """The tensor that a part belongs to, the other part, and what makes it of them; nothing for any other name."""
    for pattern, beside, combine in FORMS:
        found = pattern.fullmatch(name)
        other = given.get(found.expand(beside)) if found else None
        if found and other is not None and _fits(given[name], other):
            return found[1] + found[2], found.expand(beside), combine
    return "", "", None


def _fits(value: Tensor, other: Tensor) -> bool:
    """Whether the smaller part is spread over the other."""
    same_rank = other.ndim in (0, value.ndim)
    return same_rank and all(n in (1, m) for n, m in zip(other.shape, value.shape, strict=False))
