"""Distillation: a net learns what a larger one answers, beside the labels.

    loss = (1 - a) L(labels) + a T^2 sum_k p_k log(p_k / q_k),      p, q = softmax(logits / T) of teacher and net

with the share a and the temperature T; T^2 keeps the gradients' size when T changes. The teacher sees the very views
that the net learns from, mixed and erased as they are, at its own size and normalisation.

Source: Hinton, Vinyals, Dean 2015, arXiv:1503.02531, section 2; the same views for both: Beyer et al. 2021,
arXiv:2106.05237.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.errors import EdgekitError
from edgekit.progress import Step
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess
from edgekit.source import resolve
from edgekit.train.augment import Normalize
from edgekit.train.config import TrainConfig, unusable
from edgekit.train.start import PLACEHOLDER_TARGET
from edgekit.train.task import Batch, Task, heads_of


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained net in evaluation mode.

    Args:
        feed: how images become its input.
        sha256: of its weights.
    """

    module: nn.Module = field(repr=False)
    feed: Preprocess
    sha256: str

    @torch.no_grad()
    def logits(self, images: Tensor, feed: Preprocess) -> Tensor:
        """f32[n, classes] for images f32[n, C, H, W] that are normalised by `feed`."""
        mean, std = (images.new_tensor(values).view(1, -1, 1, 1) for values in (feed.mean, feed.std))
        unit = images * std + mean
        if feed.channel_order != self.feed.channel_order:
            unit = unit.flip(1)
        if tuple(unit.shape[2:]) != self.feed.crop:
            unit = F.interpolate(unit, size=self.feed.crop, mode="bilinear", align_corners=False, antialias=True)
        return heads_of(self.module(Normalize.of(self.feed)(unit)))[0]


@dataclass(frozen=True, slots=True)
class Distillation:
    """A task whose labels are joined by a teacher's answers.

    Args:
        base: the loss of the labels, and the figure of merit.
        feed: how images become the net's input.
        temperature: T; share: a.
    """

    base: Task
    teacher: Teacher
    feed: Preprocess
    temperature: float = 4.0
    share: float = 0.9

    @property
    def figure(self) -> str:
        return self.base.figure

    def loss(self, outputs: object, batch: Batch) -> Tensor:
        """The formula above, for logits f32[n, classes]; auxiliary heads learn from the labels alone."""
        answers = self.teacher.logits(batch.images, self.feed) / self.temperature
        own = heads_of(outputs)[0] / self.temperature
        soft = F.kl_div(F.log_softmax(own, 1), F.log_softmax(answers, 1), reduction="batchmean", log_target=True)
        return (1 - self.share) * self.base.loss(outputs, batch) + self.share * self.temperature**2 * soft

    def merit(self, outputs: object, batch: Batch) -> Tensor:
        return self.base.merit(outputs, batch)


def load_teacher(config: TrainConfig, classes: tuple[str, ...], feed: Preprocess, progress: Step | None) -> Teacher:
    """The teacher that the choices name: any source that is a module, or the folder of a run.

    Raises:
        EdgekitError: what `edgekit.source.resolve` raises; EK106 a graph, or other channels; EK109 other classes.
    """
    assert config.teacher is not None
    recipe = Recipe(config.teacher, PLACEHOLDER_TARGET, weights=config.teacher_weights, seed=config.seed)
    source = resolve(recipe, progress)
    if source.module is None:
        raise unusable("a teacher is a module, not a graph", "--teacher", "name a run folder or the PyTorch model")
    names = source.labels if source.labels else classes
    if source.classes != len(classes) or names != classes:
        raise EdgekitError(
            "EK109",
            what=f"the teacher knows {source.classes} classes, which are not the {len(classes)} of the images",
            where=config.teacher,
            fix="train the teacher on the same classes first, and name its run folder",
        )
    if len(source.preprocess.mean) != len(feed.mean):
        raise unusable(
            f"the teacher takes {len(source.preprocess.mean)} channels, the net {len(feed.mean)}",
            "--teacher",
            "name one that takes the same",
        )
    return Teacher(source.module.eval().requires_grad_(False), source.preprocess, source.weights_sha256)
