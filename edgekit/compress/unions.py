"""Disjoint sets of whole numbers."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]

FROZEN = 0
"""The set of what must stay as it is."""


class Unions:
    """Disjoint sets; 0 is there from the start, and whatever is joined with it is frozen."""

    def __init__(self) -> None:
        self._parents = [FROZEN]

    def fresh(self, count: int) -> Labels:
        """i64[count]: that many sets of one."""
        start = len(self._parents)
        self._parents.extend(range(start, start + count))
        return np.arange(start, start + count)

    def find(self, item: int) -> int:
        """The set's own number, its smallest member: 0 for a frozen one."""
        parents = self._parents
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    def join(self, first: Labels | int, second: Labels | int) -> None:
        """Join element by element; the two broadcast."""
        for one, other in _pairs(first, second):
            a, b = self.find(one), self.find(other)
            if a != b:
                self._parents[max(a, b)] = min(a, b)

    def join_along(self, labels: Labels, axis: int) -> None:
        """Make the labels constant along an axis."""
        self.join(labels, np.take(labels, [0], axis))

    def freeze(self, labels: Labels) -> None:
        self.join(labels, FROZEN)

    def resolved(self, labels: Labels) -> Labels:
        """Every label as its set's number."""
        unique, places = np.unique(labels, return_inverse=True)
        return np.array([self.find(int(item)) for item in unique], np.int64)[places].reshape(labels.shape)


def _pairs(first: Labels | int, second: Labels | int) -> Iterator[tuple[int, int]]:
    one, other = np.broadcast_arrays(first, second)
    differing = one != other
    if differing.any():
        yield from map(tuple, np.unique(np.stack([one[differing], other[differing]]), axis=1).T.tolist())


def squeezed(labels: Labels) -> Labels:
    """The same labels with size 1 along every axis on which they do not vary."""
    for axis in range(labels.ndim):
        first = np.take(labels, [0], axis)
        if labels.shape[axis] > 1 and (labels == first).all():
            labels = first
    return labels


def varying(labels: Labels) -> tuple[int, ...]:
    """The axes along which squeezed labels vary."""
    return tuple(axis for axis, size in enumerate(labels.shape) if size > 1)
