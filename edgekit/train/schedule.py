"""Learning rate and input size over a run, as functions of how much of it is done: another length is the same shape."""

import math

from edgekit.recipe import Size
from edgekit.train.config import TrainConfig

FALLS = (1 / 3, 2 / 3, 8 / 9)
"""Where the step schedule divides the rate by ten: epochs 30, 60 and 80 of 90 (arXiv:1706.02677, section 5.1)."""


def share_of_rate(schedule: str, warmup: float, done: float) -> float:
    """The learning rate in units of its peak.

        rise      done / warmup                              until `warmup`, a share of the run
        cosine    (1 + cos(pi t)) / 2                        arXiv:1608.03983
        linear    1 - t
        step      0.1 at t = 1/3, 0.01 at 2/3, 0.001 at 8/9

    with t = (done - warmup) / (1 - warmup).

    Args:
        done: share of the run's steps that lie behind, 0 for the first; the step itself is in the middle of its share.
    """
    if done < warmup:
        return done / warmup
    t = (done - warmup) / (1 - warmup) if warmup < 1 else 1.0
    if schedule == "cosine":
        return (1 + math.cos(math.pi * t)) / 2
    return 1 - t if schedule == "linear" else float(0.1 ** sum(t >= fall for fall in FALLS))


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The rate of optimiser step `step` of `steps`, counted from 0."""
    assert config.learning_rate is not None
    return config.learning_rate * share_of_rate(config.schedule, config.warmup, (step + 0.5) / steps)


def input_size(config: TrainConfig, epoch: int) -> Size:
    """Small in the first half, where asked for: early epochs learn as much from fewer pixels (arXiv:2104.00298)."""
    assert config.input_size is not None
    early = config.start_size is not None and epoch < config.epochs / 2
    return config.start_size if early and config.start_size else config.input_size
