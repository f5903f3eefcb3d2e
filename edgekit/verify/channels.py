"""What an output says channel by channel: one that varies in float and is lost in the file fails, whatever the rest.

One number over a whole output hides its small parts: in a decoded detector's [4 boxes + 80 scores, anchors] the boxes
are thousands of times as large as the scores, and all scores may be zero at 42 dB.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

FEWEST = 16
"""Numbers that a channel must have: of two or four, the variation is chance, and so is an error as large."""

NOISE = 1e-5
"""Of an output's largest value: variation below it is float arithmetic's own."""

EQUAL_DB = 150.0


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of one output.

    Args:
        count: how many vary in float.
        lost: how many of them have an error as large as their variation, or more.
        unheld: how many vary by less than the kernel's fixed step, which no choice of scales can mend; not in `lost`.
        lowest_db: the lowest SQNR of a channel that is not among those, its mean taken out; 150 where all are equal.
    """

    count: int
    lost: int
    unheld: int
    lowest_db: float


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """Which axis of [n, ...] holds channels; None for a single number.

    Maps have them first, [n, C, H, W]; of [n, anchors, values] and [n, values, anchors] the shorter one holds the
    values; with more axes it is the last.
    """
    if len(shape) < 2:
        return None
    if len(shape) == 3:
        return 1 if shape[1] <= shape[2] else 2
    return 1 if len(shape) in (2, 4) else len(shape) - 1


def measure_channels(expected: Doubles, got: Doubles, step: float = 0.0) -> Channels:
    """Compare f64[n, ...] channel by channel, each with its mean over all inputs taken out of the signal.

    Args:
        step: the fixed step of the kernel that wrote the output; 0 where it has none.

    Returns:
        No channels where each has fewer than FEWEST numbers.
    """
    axis = channel_axis(expected.shape)
    if axis is None or expected.size == 0:
        return Channels(0, 0, 0, EQUAL_DB)
    reference, actual = (np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1) for values in (expected, got))
    if reference.shape[1] < FEWEST:
        return Channels(0, 0, 0, EQUAL_DB)
    signal = np.square(reference - reference.mean(1, keepdims=True)).mean(1)
    noise = np.square(reference - actual).mean(1)
    varies = np.sqrt(signal) > max(NOISE * float(np.abs(expected).max()), 1e-30)
    held = varies & (np.sqrt(signal) > step)
    figures = [db(s, n) for s, n in zip(signal[held], noise[held], strict=True)]
    lost = sum(figure <= 0.0 for figure in figures)
    return Channels(int(varies.sum()), lost, int((varies & ~held).sum()), min(figures, default=EQUAL_DB))


def db(signal: float, noise: float) -> float:
    """10 log10(signal / noise), at most EQUAL_DB."""
    return min(EQUAL_DB, 10 * float(np.log10(signal / noise))) if noise > 0 else EQUAL_DB
