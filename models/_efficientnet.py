"""EfficientNet's table and its scaling: Tan & Le 2019, arXiv:1905.11946. No network: the layouts' files build those."""

from collections.abc import Iterator
from itertools import product
from math import ceil
from typing import NamedTuple

from edgekit.models._blocks import make_divisible

PAPER = "arXiv:1905.11946"

ROWS = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""The paper's table 1, network B0: expansion t, kernel k, stride s of the first block, output channels c, repeats n."""

STEM = 32
LAST = 1280
SQUEEZE = 4
"""A squeeze-excite bottleneck has a quarter of the channels that enter the block, not of the expanded ones."""

DROPPED = 0.2
"""Share of samples that skip the last block's branch in training; it grows linearly from 0 at the first."""


class Scaling(NamedTuple):
    """How a network differs from B0.

    Args:
        width: multiplier of the channels, rounded to multiples of 8.
        depth: multiplier of each stage's blocks, rounded up.
        pixels: height and width of the input.
        dropout: before the classifier.
    """

    width: float = 1.0
    depth: float = 1.0
    pixels: int = 224
    dropout: float = 0.2


B0 = Scaling()
B1 = Scaling(1.0, 1.1, 240, 0.2)
B2 = Scaling(1.1, 1.2, 260, 0.3)
B3 = Scaling(1.2, 1.4, 300, 0.3)
B4 = Scaling(1.4, 1.8, 380, 0.4)
B5 = Scaling(1.6, 2.2, 456, 0.4)
B6 = Scaling(1.8, 2.6, 528, 0.5)
B7 = Scaling(2.0, 3.1, 600, 0.5)
"""The published networks. Those above B1 are near the powers of `compound_scaling`, but none of them exactly."""
B8 = Scaling(2.2, 3.6, 672, 0.5)
L2 = Scaling(4.3, 5.3, 800, 0.5)
"""Beyond the paper: AdvProp's (arXiv:1911.09665) and Noisy Student's (arXiv:1911.04252)."""


def scale_rows(scaling: Scaling) -> Iterator[tuple[int, int, int, int, int]]:
    """ROWS at another width and depth."""
    for expansion, kernel, stride, outputs, repeats in ROWS:
        yield expansion, kernel, stride, make_divisible(outputs * scaling.width), ceil(repeats * scaling.depth)


STRIDE = 32
"""Of the last feature map, in pixels."""

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15
"""The paper's grid search at phi = 1: depth, width and resolution."""


def compound_scaling(phi: float, alpha: float = ALPHA, beta: float = BETA, gamma: float = GAMMA) -> Scaling:
    """depth = alpha^phi, width = beta^phi, pixels = 224 * gamma^phi; MACs grow by about (alpha beta^2 gamma^2)^phi.

    ValueError for fewer pixels than the strides divide by. Source: section 3.3, equation 3.
    """
    pixels = round(B0.pixels * gamma**phi)
    if pixels < STRIDE:
        raise ValueError(f"phi is {phi}: that leaves an input of {pixels} pixels, it must have {STRIDE} or more")
    return Scaling(beta**phi, alpha**phi, pixels)


def search_coefficients(
    step: float = 0.05, budget: float = 2.0, tolerance: float = 0.1
) -> Iterator[tuple[float, float, float]]:
    """The grid of (alpha, beta, gamma) >= 1 with alpha * beta^2 * gamma^2 within `tolerance` of `budget`.

    The paper trains a network for each and keeps the best: section 3.3, step 1.
    """
    steps = [round(1 + number * step, 9) for number in range(int((budget - 1 + tolerance) / step) + 1)]
    for alpha, beta, gamma in product(steps, repeat=3):
        if abs(alpha * beta**2 * gamma**2 - budget) <= tolerance:
            yield alpha, beta, gamma
