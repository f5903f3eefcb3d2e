"""Training a module in memory, without a run folder: what pruning and other changes of a net need behind them."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from edgekit.progress import Step
from edgekit.registry import Preprocess
from edgekit.train.augment import Normalize, policy
from edgekit.train.config import TrainConfig
from edgekit.train.feed import Feed
from edgekit.train.fit import decoded, listed
from edgekit.train.loop import Diverged, Trainer, diverged, measure
from edgekit.train.mix import Mix
from edgekit.train.pixels import Pixels
from edgekit.train.run import Listener, Quiet
from edgekit.train.settle import fitting_batch, settled
from edgekit.train.task import Classification, Task
from edgekit.train.workers import ALONE


@dataclass(frozen=True, slots=True)
class Data:
    """Decoded pictures for one preprocessing; decode once, fine-tune as often as needed.

    Args:
        measured: None where there is nothing to measure on.
        feed: how pictures become the module's input.
    """

    learned: Pixels
    measured: Pixels | None
    feed: Preprocess


def load_data(config: TrainConfig, feed: Preprocess, scratch: Path, listener: Listener | None = None) -> Data:
    """List, split and decode the images of `config` (its data, eval, val_share, labels, memory_gb, max_corrupt, seed).

    Args:
        feed: of the module that is to be trained, `Source.preprocess`.
        scratch: a folder for pixels that do not fit into memory; nothing stays in it.

    Raises:
        EdgekitError: EK102, EK108, EK109 images that cannot be used; EK702 no room for their pixels.
    """
    learned, measured = listed(config)
    images = decoded(config, learned, measured, feed, scratch, listener or Quiet())
    return Data(images.learned, images.measured, feed)


def fine_tune(
    module: nn.Module,
    data: Data,
    config: TrainConfig,
    progress: Step | None = None,
    task: Task | None = None,
) -> nn.Module:
    """Train a module in place for `config.epochs` epochs and return what is to be kept: its average in evaluation mode.

    The module may have any structure; masks or hooks on it stay (a pruned weight that must remain zero needs a
    parametrization, or its channel removed before). Everything random follows `config.seed`.

    Args:
        module: float32; its output must fit the task: logits of `data.learned.classes` for the default one.
        config: epochs, batch_size, optimizer, learning_rate, schedule, ema, augmentation and the rest; `model`, `data`,
            `out` and `weights` say nothing here, but that weights make the default rate that of fine-tuning.
        progress: called with the images done in the epoch, and how many it has.
        task: None: cross entropy with `config.smoothing`.

    Raises:
        EdgekitError: EK106 a batch that cannot be split; EK506 the loss is no number.
    """
    size = data.feed.crop
    batch = fitting_batch(config, len(data.learned), 1)
    steps = config.epochs * max(1, len(data.learned) // batch)
    config = settled(replace(config, batch_size=batch), module, size, steps)
    feed = Feed(
        data.learned,
        Normalize.of(data.feed),
        policy(config.augment, size, config.rand_augment, config.erasing),
        Mix(config.mixup, config.cutmix),
        batch,
        config.accumulate,
        config.seed,
        ALONE,
        next(module.parameters()).device,
    )
    trainer = Trainer(module, task or Classification(config.smoothing), feed, config)
    with torch.random.fork_rng(devices=[]):
        while trainer.epoch < config.epochs:
            try:
                trainer.advance(progress)
            except Diverged as error:
                raise diverged(error, config, lambda batch: "the batch is not kept") from error
    return trainer.averaged.eval()


def accuracy(module: nn.Module, data: Data, progress: Step | None = None) -> float | None:
    """Top-1 in percent on the pictures to measure on, exactly as an export feeds them; None without any."""
    if data.measured is None:
        return None
    return measure(module, Classification(), data.measured, data.feed, progress=progress)
