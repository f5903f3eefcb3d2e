"""Learning rate and input size over a run."""

from edgekit.train.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Rise, hold, fall: the rate of optimiser step `step`, counted from 0 over the whole run.

    The fall starts `decay_epochs` before the end and is at zero after the last step. The finish falls once more.
    """
    total = config.epochs * steps_per_epoch
    if config.finish_epochs and step >= total:
        left = config.total_epochs * steps_per_epoch - step
        return config.finish_rate * left / (config.finish_epochs * steps_per_epoch)
    rise = min(1.0, (step + 1) / max(1, config.warmup_epochs * steps_per_epoch))
    fall = min(1.0, (total - step) / max(1, config.decay_epochs * steps_per_epoch))
    return config.learning_rate * min(rise, fall)


def input_size(config: TrainConfig, epoch: int) -> int:
    """Small at first: early epochs learn as much from fewer pixels (progressive learning, arXiv:2104.00298)."""
    if epoch >= config.epochs:
        return config.final_size
    return config.start_size if epoch < config.start_epochs else config.input_size
