"""Train a zoo model on class folders: AdamW, weight averaging, resumable after every epoch."""

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.bundle.write import check_writable
from edgekit.errors import EdgekitError
from edgekit.images.folder import ImageFolder
from edgekit.registry import Preprocess, models
from edgekit.train import checkpoint, export, schedule
from edgekit.train.augment import Augment, Normalize, enlarge
from edgekit.train.config import EpochReport, TrainConfig, TrainResult
from edgekit.train.data import LabelledImages, load_images
from edgekit.train.small_maps import speed_up_small_maps


def train(config: TrainConfig, report: Callable[[EpochReport], None]) -> TrainResult:
    """Run `config` to its end, from its checkpoint if asked, and write the weights and their card.

    Raises:
        EdgekitError: EK101 unknown model; EK102, EK108, EK109 unusable images; EK106 a checkpoint of another recipe, or
            batches of one image; EK702 the output folder cannot be written.
    """
    spec = models.get(config.model)
    check_writable(config.out)
    images = load_images(config.data, config.stored_size)
    evaluation = load_images(config.evaluation, config.stored_size) if config.evaluation else None
    check_images(config, images, evaluation)
    torch.manual_seed(config.seed)
    run = Run(config, spec.build(num_classes=len(images.classes)), images)
    if config.resume:
        run.restore()
    for epoch in range(run.epoch, config.total_epochs):
        start = time.perf_counter()
        loss = run.advance()
        top1 = accuracy(run.averaged, evaluation, config) if evaluation else None
        rate = schedule.learning_rate(config, run.step - 1, run.steps_per_epoch)
        size = schedule.input_size(config, epoch)
        report(EpochReport(run.epoch, config.total_epochs, size, rate, loss, top1, time.perf_counter() - start))
    stored = export.round_to_float16(run.averaged)
    top1 = measure(stored, config.evaluation, config.preprocess) if config.evaluation else None
    return export.write(config, stored, images, evaluation, top1)


def check_images(config: TrainConfig, images: LabelledImages, evaluation: LabelledImages | None) -> None:
    """EK109 where the evaluation images have other classes, EK106 where a batch would be a single image."""
    if evaluation and evaluation.classes != images.classes:
        raise EdgekitError(
            "EK109",
            what=f"the classes are not those of the training images: {', '.join(evaluation.classes)}",
            where=str(config.evaluation),
            fix=f"the same class folders as in {config.data}: {', '.join(images.classes)}",
        )
    if min(config.batch_size, len(images)) < 2:
        raise EdgekitError(
            "EK106",
            what="BatchNorm cannot learn from a batch of one image",
            where="--batch-size" if config.batch_size < 2 else str(config.data),
            fix="take batches of at least 2 images",
        )


def measure(model: nn.Module, location: Path, preprocess: Preprocess) -> float:
    """Top-1 in percent on class folders, fed by the preprocessing that an export writes into its contract."""
    folder = ImageFolder.open(location)
    labels = np.array(folder.labels())
    model.eval()
    with torch.inference_mode():
        classes = [model(torch.from_numpy(batch)).argmax(1).numpy() for batch in folder.batches(preprocess, 250)]
    return float(100 * (np.concatenate(classes) == labels).mean())


def accuracy(model: nn.Module, images: LabelledImages, config: TrainConfig) -> float:
    """Top-1 in percent at `config.final_size`: `measure` up to Pillow's rounding, and much faster."""
    model.eval()
    normalize = Normalize(config.mean, config.std)
    correct = 0
    with torch.inference_mode():
        for pixels, labels in zip(torch.split(images.pixels, 250), torch.split(images.labels, 250), strict=True):
            logits = model(enlarge(pixels, config.final_size, normalize))
            correct += int((logits.argmax(1) == labels).sum())
    return 100 * correct / len(images)


class Run:
    """A model in training, its average and its optimiser, `epoch` epochs in."""

    def __init__(self, config: TrainConfig, model: nn.Module, images: LabelledImages) -> None:
        self.config, self.images = config, images
        self.epoch = 0
        self.model = speed_up_small_maps(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(decay_groups(model, config.weight_decay), config.learning_rate)
        self.augment, self.normalize = Augment(), Normalize(config.mean, config.std)

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.images) // self.config.batch_size)

    @property
    def step(self) -> int:
        return self.epoch * self.steps_per_epoch

    def restore(self) -> None:
        """Take up the checkpoint in the output folder, where there is one."""
        saved = checkpoint.load(self.config.out, self.config)
        if saved:
            self.epoch = saved.epoch
            self.model.load_state_dict(saved.model)
            self.averaged.load_state_dict(saved.averaged)
            self.optimizer.load_state_dict(saved.optimizer)

    def advance(self) -> float:
        """Train one epoch, write the checkpoint, return the mean loss."""
        # One seed per epoch makes a resumed run equal to an uninterrupted one; dropout draws from the global generator.
        generator = torch.Generator().manual_seed(self.config.seed * 100_003 + self.epoch)
        torch.manual_seed(self.config.seed * 100_003 + self.epoch)
        size = schedule.input_size(self.config, self.epoch)
        ema = self.config.ema if self.epoch < self.config.epochs else self.config.finish_ema
        self.model.train()
        total = 0.0
        for step, (pixels, labels) in enumerate(self._batches(generator), start=self.step):
            for group in self.optimizer.param_groups:
                group["lr"] = schedule.learning_rate(self.config, step, self.steps_per_epoch)
            outputs = self.model(self.augment(pixels, size, self.normalize, generator))
            loss = loss_of(outputs, labels, self.config.smoothing)
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()
            average(self.averaged, self.model, min(ema, (1 + step) / (10 + step)))
            total += loss.item()
        self.epoch += 1
        self._save()
        return total / self.steps_per_epoch

    def _batches(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """A random order of all images; what does not fill a batch waits for the next epoch."""
        order = torch.randperm(len(self.images), generator=generator)
        for index in torch.split(order, self.config.batch_size)[: self.steps_per_epoch]:
            yield self.images.pixels[index], self.images.labels[index]

    def _save(self) -> None:
        state = checkpoint.Checkpoint(
            epoch=self.epoch,
            config=checkpoint.comparable(self.config),
            model=self.model.state_dict(),
            averaged=self.averaged.state_dict(),
            optimizer=self.optimizer.state_dict(),
        )
        checkpoint.save(state, self.config.out)


AUXILIARY_WEIGHT = 0.3
"""What an auxiliary head's loss counts beside the network's own. Source: arXiv:1409.4842, section 5."""


def loss_of(outputs: Tensor | tuple[Tensor, ...], labels: Tensor, smoothing: float) -> Tensor:
    """Cross entropy of logits f32[n, classes], or of a tuple: the network's own, then its auxiliary heads'."""
    logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    for head in auxiliary:
        loss = loss + AUXILIARY_WEIGHT * F.cross_entropy(head, labels, label_smoothing=smoothing)
    return loss


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for convolutions and classifiers; none for biases, norms and depthwise filters.

    Source: arXiv:1704.04861, section 3.2: depthwise filters have too few parameters to need it.
    """
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for part in model.modules():
        depthwise = isinstance(part, nn.Conv2d) and part.groups == part.in_channels
        for parameter in part.parameters(recurse=False):
            (free if depthwise or parameter.ndim == 1 else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


@torch.no_grad()
def average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """averaged = decay * averaged + (1 - decay) * model, BatchNorm statistics included."""
    for kept, current in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(current, 1 - decay)
        else:
            kept.copy_(current)
