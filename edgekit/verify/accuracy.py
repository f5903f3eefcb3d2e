"""Top-1 and top-5 accuracy with its sampling error."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.target import FloatArray

Z_95 = 1.959964  # two-sided 95 % quantile of the normal distribution


@dataclass(frozen=True, slots=True)
class Share:
    """A share of images in percent with its 95 % interval."""

    percent: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.percent:.2f} %  (95 % interval {self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy of one model on one set of labelled images."""

    images: int
    top1: Share
    top5: Share

    def document(self) -> dict[str, Any]:
        return asdict(self)


def wilson(correct: int, total: int) -> Share:
    """Share of `correct` with Wilson's score interval, which stays inside 0..100 and holds for few images.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    share = correct / total
    spread = Z_95**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = Z_95 * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return Share(100 * share, 100 * max(0.0, centre - half), 100 * min(1.0, centre + half))


def rank_of_label(scores: FloatArray, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many classes score above the right one, i64[n]; 0 is a top-1 hit.

    Args:
        scores: f32[n, classes]. Equal scores rank by class index, as argmax does.
        labels: i64[n].
    """
    own = scores[np.arange(len(labels)), labels][:, None]
    above = (scores > own).sum(axis=1)
    tied_before = ((scores == own) & (np.arange(scores.shape[1]) < labels[:, None])).sum(axis=1)
    return np.asarray(above + tied_before, dtype=np.int64)


def accuracy(ranks: NDArray[np.int64]) -> Accuracy:
    """Accuracy from the ranks of the right classes."""
    total = len(ranks)
    return Accuracy(total, wilson(int((ranks < 1).sum()), total), wilson(int((ranks < 5).sum()), total))
