"""What a training run is told, and what it reports."""

from dataclasses import dataclass
from pathlib import Path

from edgekit.registry import Preprocess

# CIFAR-10's training images, in units of [0, 1].
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Every choice of a training run. The same config and seed give the same weights.

    The learning rate rises for `warmup_epochs`, stays, and falls linearly to zero over the last `decay_epochs`; until
    that fall, runs that differ only in `epochs` are the same run, so a checkpoint can be given more or fewer.

    Args:
        model: zoo name.
        data: class folders, in a folder or a .zip.
        evaluation: the same for measuring; None: not measured.
        out: folder for the checkpoint and the results.
        stored_size: pixels (square) of the images kept in memory; they are enlarged to `input_size` batch by batch.
        input_size: height and width in pixels that the network is trained for.
        start_size: input size of the first `start_epochs` epochs, which are cheaper.
        finish_epochs: epochs after those at `finish_size`, a larger input, which they learn to use at little cost.
        finish_rate: their learning rate at first; it falls linearly to zero.
        finish_ema: `ema` of these epochs: shorter, as there are few.
        smoothing: share of the target spread over all classes.
        ema: decay per step of the averaged weights, which are the ones that are kept.
        resume: go on from the checkpoint in `out`, where there is one.
    """

    model: str
    data: Path
    evaluation: Path | None = None
    out: Path = Path("train")
    epochs: int = 48
    batch_size: int = 256
    stored_size: int = 32
    input_size: int = 64
    start_size: int = 48
    start_epochs: int = 24
    learning_rate: float = 0.003
    weight_decay: float = 0.05
    warmup_epochs: int = 2
    decay_epochs: int = 20
    finish_epochs: int = 0
    finish_size: int = 80
    finish_rate: float = 0.001
    finish_ema: float = 0.99
    smoothing: float = 0.1
    ema: float = 0.998
    mean: tuple[float, float, float] = CIFAR10_MEAN
    std: tuple[float, float, float] = CIFAR10_STD
    labels: str | None = "cifar10"
    seed: int = 0
    resume: bool = False

    @property
    def total_epochs(self) -> int:
        """All epochs, the finishing ones included."""
        return self.epochs + self.finish_epochs

    @property
    def final_size(self) -> int:
        """Height and width in pixels that the weights are for in the end."""
        return self.finish_size if self.finish_epochs else self.input_size

    @property
    def preprocess(self) -> Preprocess:
        """What the trained weights must be fed."""
        size = self.final_size
        return Preprocess(resize=size, crop=(size, size), mean=self.mean, std=self.std, labels=self.labels)


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One finished epoch.

    Args:
        loss: mean training loss, label smoothing included.
        top1: percent on the evaluation images with the averaged weights, or None.
    """

    epoch: int
    epochs: int
    input_size: int
    learning_rate: float
    loss: float
    top1: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainResult:
    """The files a run leaves.

    Args:
        weights: float16 safetensors.
        card: Markdown: data, how it was trained, accuracy, hash.
        recipe: TOML for `edgekit export --recipe`: weights, classes, labels, preprocessing.
        top1: percent on the evaluation images, measured with the weights as stored.
    """

    weights: Path
    card: Path
    recipe: Path
    sha256: str
    top1: float | None
