"""What a net learns: the one seam for other losses and other labels (boxes, masks, points, a teacher's answers)."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.train.mix import Mix

AUXILIARY_WEIGHT = 0.3
"""What an auxiliary head's loss counts beside the network's own. Source: arXiv:1409.4842, section 5."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step learns from.

    Args:
        images: f32[n, C, H, W], as the model takes them.
        targets: of each image: class indices i64[n], shares of classes f32[n, classes], or what the task makes of them.
    """

    images: Tensor
    targets: Tensor


class Task(Protocol):
    """A loss and a figure of merit. `Classification` is one; a distillation wraps it; a detector brings its own."""

    @property
    def figure(self) -> str:
        """Name of the figure of merit, for columns and curves: "top1"."""
        ...

    def loss(self, outputs: object, batch: Batch) -> Tensor:
        """f32[]: the mean over the batch; `outputs` is what the module gave for `batch.images`."""
        ...

    def merit(self, outputs: object, batch: Batch) -> Tensor:
        """f64[]: the sum over the batch of what the figure is the mean of, in percent for shares."""
        ...


@dataclass(frozen=True, slots=True)
class Classification:
    """One class out of K, by cross entropy with smoothed labels.

        q_k = (1 - e) y_k + e / K,      loss = - sum_k q_k log softmax(outputs)_k

    with y the target (one-hot, or mixed) and e the `smoothing`. The loss cannot go below the entropy of q, which for a
    one-hot target is

        H = - (1 - e + e / K) ln(1 - e + e / K) - (K - 1) (e / K) ln(e / K)

    (0.500 for e = 0.1 and K = 10): a loss that stands there is a net that is right everywhere. A module that returns a
    tuple has auxiliary heads behind its own output; each counts 0.3.

    Source: Szegedy et al. 2015, arXiv:1512.00567, section 7.
    """

    smoothing: float = 0.1
    figure: str = "top1"

    def loss(self, outputs: object, batch: Batch) -> Tensor:
        """Cross entropy of logits f32[n, classes], auxiliary heads included."""
        logits, *auxiliary = heads_of(outputs)
        loss = F.cross_entropy(logits, batch.targets, label_smoothing=self.smoothing)
        for head in auxiliary:
            loss = loss + AUXILIARY_WEIGHT * F.cross_entropy(head, batch.targets, label_smoothing=self.smoothing)
        return loss

    def merit(self, outputs: object, batch: Batch) -> Tensor:
        """100 for every image whose class is right."""
        truth = batch.targets if batch.targets.ndim == 1 else batch.targets.argmax(1)
        return 100.0 * (heads_of(outputs)[0].argmax(1) == truth).double().sum()

    def floor(self, classes: int) -> float:
        """The entropy of a smoothed one-hot target, in nats."""
        right, wrong = 1 - self.smoothing + self.smoothing / classes, self.smoothing / classes
        return -sum(count * q * math.log(q) for count, q in ((1, right), (classes - 1, wrong)) if q > 0)


def heads_of(outputs: object) -> tuple[Tensor, ...]:
    """The net's own output first, then those of auxiliary heads; a dict's or named tuple's order is its own."""
    if isinstance(outputs, Tensor):
        return (outputs,)
    values = outputs.values() if isinstance(outputs, dict) else outputs
    return tuple(value for value in values if isinstance(value, Tensor))  # type: ignore[attr-defined]


def mixed(batch: Batch, mix: Mix, classes: int, random: "torch.Generator | object") -> Batch:
    """A batch whose pictures and labels are mixed; the same one where nothing is to be mixed."""
    if not mix:
        return batch
    images, targets = mix(batch.images, F.one_hot(batch.targets, classes).float(), random)  # type: ignore[arg-type]
    return Batch(images, targets)


def device_of(module: nn.Module) -> torch.device:
    """Where the first parameter lies."""
    return next(module.parameters()).device
