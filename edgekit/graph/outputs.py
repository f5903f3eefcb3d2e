"""What a model gives, by name: rows of single images put together, several batches, a part of the images."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.target import FloatArray, Outputs


def stack(names: Sequence[str], rows: Iterable[Sequence[NDArray[Any]]]) -> Outputs:
    """What a model gave for n single images, f32[n, ...] by name.

    Args:
        rows: per image one array per output, with a batch axis of 1 in front where it has one.
    """
    columns = zip(*rows, strict=True)
    return {name: np.stack(list(map(without_batch, column))) for name, column in zip(names, columns, strict=True)}


def without_batch(row: NDArray[Any]) -> FloatArray:
    """One image's output, [1, ...] -> f32[...], or i64[...] for indices and booleans; without a batch axis as it is."""
    array = np.asarray(row)
    array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
    return array[0] if array.ndim and array.shape[0] == 1 else array


def concatenate(batches: Iterable[Outputs]) -> Outputs:
    """Outputs of several batches as those of one."""
    parts = list(batches)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def take(outputs: Outputs, images: Any) -> Outputs:
    """The outputs of some of the images: a slice, or bool[n]."""
    return {name: values[images] for name, values in outputs.items()}


def relative_noise(reference: Outputs, actual: Outputs) -> float:
    """Noise power over signal power, summed over the outputs: a small output counts as much as a large one."""
    return sum(_noise(values, actual[name]) for name, values in reference.items())


def _noise(reference: FloatArray, actual: FloatArray) -> float:
    signal = float(np.square(reference, dtype=np.float64).sum())
    return float(np.square(reference - actual, dtype=np.float64).sum()) / (signal or 1.0)
