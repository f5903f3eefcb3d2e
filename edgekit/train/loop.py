"""The training loop: one net, its average and its optimiser, epoch by epoch, for whatever task it is given."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.progress import Step
from edgekit.registry import Preprocess
from edgekit.train import schedule
from edgekit.train.augment import fitted
from edgekit.train.config import TrainConfig
from edgekit.train.feed import Feed, ahead, epoch_seed
from edgekit.train.optimizer import average, make_optimizer, set_rate
from edgekit.train.pixels import Pixels
from edgekit.train.small_maps import speed_up_small_maps
from edgekit.train.task import Batch, Task
from edgekit.train.workers import ALONE, Workers

MEASURED = 250  # images at a time in evaluation


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the images came to.

    Args:
        loss: mean over its steps.
        rate: of its last step.
        images: that were learned from, over all processes.
        seconds: of wall time.
        computing: share of them in forward, backward and step.
    """

    loss: float
    rate: float
    size: tuple[int, int]
    images: int
    seconds: float
    computing: float


class Diverged(Exception):
    """The loss is NaN or infinite; nothing of the step was applied.

    Args:
        batch: what it was computed of.
    """

    def __init__(self, step: int, batch: Batch) -> None:
        super().__init__(f"step {step}")
        self.step, self.batch = step, batch


@dataclass
class Clock:
    """Seconds spent in what a block does."""

    seconds: float = 0.0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start


@dataclass
class Trainer:
    """A net in training, `epoch` epochs in.

    Args:
        module: it is changed in place, and moved to the device of `feed`.
        head: names of the parameters that learn alone in the first `config.freeze` epochs.
    """

    module: nn.Module = field(repr=False)
    task: Task
    feed: Feed = field(repr=False)
    config: TrainConfig
    head: tuple[str, ...] = ()
    workers: Workers = ALONE
    epoch: int = 0

    def __post_init__(self) -> None:
        self.module = self.module.to(self.feed.device)
        if self.feed.device.type == "cpu":
            speed_up_small_maps(self.module)
        if any(parameter.ndim == 4 for parameter in self.module.parameters()):
            self.module = self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.module).requires_grad_(False).eval() if self.config.ema else self.module
        self.optimizer = make_optimizer(self.module, self.config)

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.feed.steps * self.config.epochs

    def advance(self, progress: Step | None = None) -> Epoch:
        """Train one epoch.

        Args:
            progress: called after every step with the images done in this epoch, and how many it has.

        Raises:
            Diverged: the loss of a step is no number.
        """
        torch.manual_seed(epoch_seed(self.config.seed, self.epoch) + self.workers.rank)  # dropout's own numbers
        size = schedule.input_size(self.config, self.epoch)
        started, busy, total = time.perf_counter(), Clock(), 0.0
        net = self.workers.wrap(self._learning())
        for place, parts in enumerate(self.feed.epoch(self.epoch, size)):
            step = self.epoch * self.feed.steps + place
            with busy():
                total += self._step(net, parts, step)
            if progress is not None:
                progress((place + 1) * self.feed.batch_size, self.feed.steps * self.feed.batch_size)
        self.epoch += 1
        seconds = time.perf_counter() - started
        loss = self.workers.total(torch.tensor(total / self.workers.count, device=self.feed.device)).item()
        return Epoch(
            loss=loss / self.feed.steps,
            rate=schedule.learning_rate(self.config, self.epoch * self.feed.steps - 1, self.steps),
            size=size,
            images=self.feed.steps * self.feed.batch_size,
            seconds=seconds,
            computing=busy.seconds / seconds,
        )

    def measure(self, pixels: Pixels, feed: Preprocess, progress: Step | None = None) -> float:
        """The task's figure over some pictures, with the averaged weights, at the size that they are for."""
        return measure(self.averaged, self.task, pixels, feed, self.workers, progress)

    def _learning(self) -> nn.Module:
        """The module in training mode; its backbone at rest in the first epochs, where that is asked for."""
        frozen = self.epoch < self.config.freeze
        self.module.train()
        for name, parameter in self.module.named_parameters():
            parameter.requires_grad_(not frozen or name in self.head)
        if frozen:
            heads = {name.rpartition(".")[0] for name in self.head}
            for name, part in self.module.named_modules():
                holds_head = any(head == name or head.startswith(f"{name}.") for head in heads) or not name
                if not holds_head:
                    part.train(mode=False)
        return self.module

    def _step(self, net: nn.Module, parts: list[Batch], step: int) -> float:
        """One step of the optimiser; the mean loss of its parts."""
        set_rate(self.optimizer, schedule.learning_rate(self.config, step, self.steps))
        total = 0.0
        for place, batch in enumerate(parts):
            last = place == len(parts) - 1
            with nullcontext() if last else unsynchronized(net):
                with self._precision():
                    loss = self.task.loss(net(batch.images), batch) / len(parts)
                value = loss.item()
                if not math.isfinite(value):
                    raise Diverged(step, batch)
                loss.backward()  # type: ignore[no-untyped-call]
            total += value
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.averaged is not self.module:
            assert self.config.ema is not None
            average(self.averaged, self.module, min(self.config.ema, (1 + step) / (10 + step)))
        return total

    def _precision(self) -> torch.autocast:
        wanted = self.config.precision == "bfloat16"
        return torch.autocast(self.feed.device.type, torch.bfloat16, enabled=wanted)


@torch.no_grad()
def measure(
    module: nn.Module,
    task: Task,
    pixels: Pixels,
    feed: Preprocess,
    workers: Workers = ALONE,
    progress: Step | None = None,
) -> float:
    """The task's figure over some pictures, in evaluation mode; each process takes every so-manieth batch of them."""
    was_training = module.training
    module.eval()
    device = next(module.parameters()).device
    starts = range(workers.rank * MEASURED, len(pixels), workers.count * MEASURED)

    def batches() -> Iterator[Batch]:
        for start in starts:
            part = slice(start, start + MEASURED)
            yield Batch(fitted(pixels.pixels[part].to(device), feed), pixels.labels[part].to(device))

    total = torch.zeros((), dtype=torch.float64, device=device)
    for place, batch in enumerate(ahead(batches)):
        total += task.merit(module(batch.images), batch)
        if progress is not None:
            progress(min((place + 1) * MEASURED * workers.count, len(pixels)), len(pixels))
    module.train(was_training)
    return float(workers.total(total)) / len(pixels)


def unsynchronized(net: nn.Module) -> AbstractContextManager[None]:
    """Gradients stay in this process: they are exchanged with those of a batch's last part."""
    return net.no_sync() if isinstance(net, nn.parallel.DistributedDataParallel) else nullcontext()


def diverged(error: Diverged, config: TrainConfig, saved: Callable[[Batch], str]) -> EdgekitError:
    """EK506, with the batch on the disk and a rate to try."""
    rate = config.learning_rate or 0.0
    return EdgekitError(
        "EK506",
        what=f"the loss of step {error.step + 1} is no number: the training has diverged; the batch is kept",
        where=saved(error.batch),
        fix=f"start again with a smaller rate: --learning-rate {rate / 4:.2g} (it was {rate:.2g})",
    )
