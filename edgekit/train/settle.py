"""What a run decides by itself once model and images are known; all of it stands in recipe.toml afterwards."""

from dataclasses import replace

import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.recipe import Size
from edgekit.registry import Preprocess
from edgekit.source.input_size import run_on_zeros
from edgekit.train.config import TrainConfig, unusable
from edgekit.train.optimizer import default_decay, default_rate
from edgekit.train.start import Start

SMALL_SIDES = (64, 96, 128, 160)
"""Input sizes for images that are smaller than a model's own; the first that is large enough and fits the model."""
FINE_TUNED_FIRST_LAYER = 0.3
EMA_SHARE = 0.05  # of the run's steps: the time constant of the average
LONGEST_EMA = 0.9999


def chosen_size(config: TrainConfig, start: Start, image_side: int) -> Size:
    """What was asked for; else the model's own size, and for images smaller than that the next size above theirs.

    Raises:
        EdgekitError: EK203 the model cannot take the size.
    """
    if config.input_size is not None:
        return config.input_size
    own = start.feed.crop
    if image_side >= min(own):
        return own
    for side in SMALL_SIDES:
        if image_side <= side < min(own) and trains_at(start.module, start.feed.at(side, side)):
            return (side, side)
    return own


def fitted_feed(config: TrainConfig, feed: Preprocess, size: Size, image_side: int) -> Preprocess:
    """The preprocessing at the input size; pictures that are no larger are seen whole, without a margin to cut off."""
    said = config.preprocess is not None and config.preprocess.resize is not None
    return feed.at(*size) if said or image_side > min(size) else replace(feed, resize=min(size), crop=size)


def trains_at(module: nn.Module, feed: Preprocess) -> bool:
    """Whether the module takes a batch of this size, in training as well."""
    try:
        check_size(module, feed, "model")
    except EdgekitError:
        return False
    return True


def check_size(module: nn.Module, feed: Preprocess, where: str) -> None:
    """EK203 for a size that the module cannot take, in evaluation or, with its auxiliary heads, in training."""
    shape = (1, len(feed.mean), *feed.crop)
    run_on_zeros(module.eval(), shape, where)
    before = {name: value.clone() for name, value in module.state_dict().items() if isinstance(value, torch.Tensor)}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            module.train()(torch.zeros(2, *shape[1:]))
    except Exception as error:  # the user's code can raise anything
        size = "x".join(map(str, feed.crop))
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EdgekitError(
            "EK203",
            what=f"the model cannot be trained on images of {size}: {reason}",
            where=where,
            fix="choose a larger --input-size; auxiliary heads need more pixels than the net itself",
        ) from error
    finally:
        module.eval()
        module.load_state_dict(before, strict=False)  # BatchNorm's statistics have moved


def settled(config: TrainConfig, module: nn.Module, size: Size, steps: int) -> TrainConfig:
    """The config without a None that the loop would have to think about.

    Args:
        module: that is to be trained.
        steps: of the optimiser, in the whole run.
    """
    given = replace(
        config,
        input_size=size,
        learning_rate=default_rate(config, module) if config.learning_rate is None else config.learning_rate,
        weight_decay=default_decay(config) if config.weight_decay is None else config.weight_decay,
        layer_decay=(FINE_TUNED_FIRST_LAYER if config.pretrained else 1.0)
        if config.layer_decay is None
        else config.layer_decay,
        ema=round(min(LONGEST_EMA, max(0.0, 1 - 1 / max(1.0, EMA_SHARE * steps))), 5)
        if config.ema is None
        else config.ema,
    )
    if given.start_size is not None and min(given.start_size) > min(size):
        raise unusable("the first epochs would be at a larger size", "--start-size", "give less than --input-size")
    return given


def fitting_batch(config: TrainConfig, images: int, processes: int) -> int:
    """The batch size, or the largest that fits where there are fewer images; equal parts in every process.

    Raises:
        EdgekitError: EK106 a part would be a single image, of which BatchNorm cannot learn.
    """
    parts = processes * config.accumulate
    if config.batch_size % parts:
        raise unusable(
            f"a batch of {config.batch_size} images is no whole number for {processes} processes in"
            f" {config.accumulate} parts",
            "--batch-size",
            f"take a multiple of {parts}",
        )
    batch = min(config.batch_size, images // parts * parts)
    if batch // parts < 2:
        raise unusable(
            "BatchNorm cannot learn from a batch of one image",
            "--batch-size" if images >= 2 * parts else str(config.data),
            f"take batches of at least {2 * parts} images",
        )
    return batch
