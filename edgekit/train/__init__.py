"""Training: how the weights that ship with edgekit were made, and the same for your own class folders."""

from edgekit.train.config import EpochReport, TrainConfig, TrainResult
from edgekit.train.fit import train

__all__ = ["EpochReport", "TrainConfig", "TrainResult", "train"]
