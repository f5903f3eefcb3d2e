"""Batches made ahead by one thread, so that the network never waits for pictures."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch.nn import functional as F

from edgekit.recipe import Size
from edgekit.train.augment import Augment, Normalize
from edgekit.train.mix import Mix
from edgekit.train.pixels import Pixels
from edgekit.train.task import Batch
from edgekit.train.workers import Workers

T = TypeVar("T")
AHEAD = 2  # batches


@dataclass(frozen=True, slots=True)
class Feed:
    """Random views of training pictures. What an epoch is made of depends on (seed, epoch) alone.

    Args:
        batch_size: images of one optimiser step, over all processes and parts.
        parts: that a process computes its share of a batch in.
    """

    pixels: Pixels = field(repr=False)
    normalize: Normalize
    augment: Augment
    mix: Mix
    batch_size: int
    parts: int
    seed: int
    workers: Workers
    device: torch.device

    @property
    def steps(self) -> int:
        """Of an epoch; what does not fill a batch waits for the next one."""
        return max(1, len(self.pixels) // self.batch_size)

    def epoch(self, epoch: int, size: Size) -> Iterator[list[Batch]]:
        """The steps of an epoch: this process's share of each batch, in parts."""
        return ahead(lambda: self._batches(epoch, size))

    def _batches(self, epoch: int, size: Size) -> Iterator[list[Batch]]:
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        order = torch.randperm(len(self.pixels), generator=generator)
        for step in range(self.steps):
            index = order[step * self.batch_size : (step + 1) * self.batch_size]
            draws = self.augment.draw(len(index), generator)
            random = np.random.default_rng([self.seed, epoch, step, self.workers.rank])
            yield [
                self._part(index[part], {k: v[part] for k, v in draws.items()}, size, random)
                for part in self._cut(index)
            ]

    def _cut(self, index: torch.Tensor) -> list[slice]:
        """This process's parts of a batch."""
        each = len(index) // (self.workers.count * self.parts)
        first = self.workers.rank * self.parts
        return [slice((first + part) * each, (first + part + 1) * each) for part in range(self.parts)]

    def _part(
        self, index: torch.Tensor, draws: dict[str, torch.Tensor], size: Size, random: np.random.Generator
    ) -> Batch:
        moved = {name: value.to(self.device) for name, value in draws.items()}
        images = self.augment.apply(self.pixels.pixels[index].to(self.device), moved, size, self.normalize)
        targets = self.pixels.labels[index].to(self.device)
        if self.mix:
            shares = F.one_hot(targets, len(self.pixels.classes)).float()
            return Batch(*self.mix(images, shares, random))
        return Batch(images, targets)


def epoch_seed(seed: int, epoch: int) -> int:
    """One seed per epoch makes a resumed run equal to an uninterrupted one."""
    return (seed * 100_003 + epoch) % 2**63


def ahead(make: Callable[[], Iterator[T]]) -> Iterator[T]:
    """What `make()` yields, made by a thread of its own, a few items ahead; what it raises is raised here."""
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(AHEAD)
    stopped = threading.Event()

    def put(item: tuple[T | None, BaseException | None]) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in make():
                if not put((item, None)):
                    return
            put((None, None))
        except BaseException as error:  # noqa: BLE001 - raised again where it is read
            put((None, error))

    thread = threading.Thread(target=work, name="feed", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopped.set()
        thread.join()
