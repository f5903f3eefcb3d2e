"""Deterministic weights and inputs, the recipe behind the reference's golden.json: a network without training data.

Every tensor is a hash of its key and of the position inside it, so two implementations with the same key names hold
the same numbers, and a wrong epsilon, padding, activation or order shows in the logits.
"""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

UNTOUCHED = ("num_batches_tracked", "relative_position_index")
TOLERANCE = 1e-4
"""Largest difference of a logit, in standard deviations of the reference's logits."""


class Entry(NamedTuple):
    """One tensor of a state_dict."""

    key: str
    shape: tuple[int, ...]


def read_keys(reference: Path, name: str) -> list[Entry] | None:
    """The state_dict of `library/id` in order, or None where the reference does not list it."""
    path = reference / "keys" / f"{name.replace('/', '__')}.tsv"
    if not path.exists():
        return None
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    return [Entry(key, () if shape == "scalar" else tuple(map(int, shape.split("x")))) for key, shape, *_ in rows]


def entries(module: nn.Module) -> list[Entry]:
    return [Entry(key, tuple(value.shape)) for key, value in module.state_dict().items()]


def unit_values(key: str, count: int) -> NDArray[np.float64]:
    """f64[count] of zero mean and unit variance: a hash of (key, index), uniform in -sqrt(3)..sqrt(3)."""
    x = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(zlib.crc32(key.encode()))
    for _ in range(2):
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x45D9F3B)
    x ^= x >> np.uint32(16)
    return (2 * (x / 2**32) - 1) * np.sqrt(3)


def tensor_values(entry: Entry) -> NDArray[np.generic]:
    """What a tensor of that name and shape holds."""
    count, name, rank = int(np.prod(entry.shape)), entry.key.rpartition(".")[2], len(entry.shape)
    if name == "index":  # CondenseNet's channel selections: reversed, and the odd half of the features
        order = np.arange(count)
        return 2 * order + 1 if entry.key.endswith("output.index") else order[::-1].copy()
    values = unit_values(entry.key, count)
    if name == "running_var":
        values = 1 + 0.25 * values
    elif name == "running_mean":
        values = 0.1 * values
    elif name == "relative_position_bias_table":
        values = 0.5 * values
    elif rank <= 1:
        values = 1 + 0.1 * values if name == "weight" else 0.05 * values
    else:
        values *= np.sqrt((2 if rank == 4 else 1) / np.prod(entry.shape[1:]))
    return values.astype(np.float32).reshape(entry.shape)


def fill(module: nn.Module, named: Iterable[Entry]) -> nn.Module:
    """Give the tensors of `module`, in their order, the values that `named` has, which may have other key names.

    A 1x1 convolution of one and a linear layer of the other hold the same numbers in another shape.
    """
    with torch.no_grad():
        for (key, value), entry in zip(module.state_dict().items(), named, strict=True):
            if not key.endswith(UNTOUCHED):
                value.copy_(torch.from_numpy(tensor_values(entry)).reshape(value.shape))
    return module.eval()


def golden_input(pixels: int) -> Tensor:
    """f32[1, 3, pixels, pixels]."""
    return torch.from_numpy(unit_values("input", 3 * pixels**2).astype(np.float32).reshape(1, 3, pixels, pixels))


def deviation(module: nn.Module, golden: dict[str, Any]) -> float:
    """Largest difference from what golden.json holds of the logits, in their standard deviations.

    It holds the first eight, the mean, the deviation (of a sample), the largest and which one that is.
    """
    with torch.inference_mode():
        logits = module(golden_input(golden["res"]))[0].double()
    assert len(logits) == golden["n"]
    found = [*logits[:8], logits.mean(), logits.std(), logits.max(), logits[golden["argmax"]]]
    stored = [*golden["first8"], golden["mean"], golden["std"], golden["top"], golden["top"]]
    return float(np.abs(np.subtract(found, stored)).max() / golden["std"])
