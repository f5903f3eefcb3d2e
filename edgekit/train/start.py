"""The module that a run begins with: any source's, with as many classes as the images have."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from edgekit.errors import EdgekitError
from edgekit.progress import Step
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess, models
from edgekit.source import Source, resolve, source_kind
from edgekit.train.config import SCRATCH, TrainConfig, unusable

TRAINABLE = ("zoo", "libraries", "python_file")
PLACEHOLDER_TARGET = ("train",)
"""A source's recipe names targets, of which training has none."""


@dataclass(frozen=True, slots=True)
class Start:
    """A module to be trained.

    Args:
        name: of the run folder.
        feed: how images become its input, at its own size.
        assumed: nobody said the mean and deviation: those of the images may take their place.
        head: names of the tensors that were not taken from the weights; empty from scratch.
        notes: how weights were found and what was replaced, a sentence each.
    """

    module: nn.Module = field(repr=False)
    name: str
    feed: Preprocess
    assumed: bool
    head: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_model(config: TrainConfig) -> None:
    """EK106 for a model that is a finished graph; a zoo name that there is not is EK101, before images are read."""
    kind = source_kind(config.model)
    if kind not in TRAINABLE:
        raise unusable(
            f"{config.model} is no module that can be trained",
            "model",
            "name a zoo model, timm:NAME, torchvision:NAME or file.py:callable",
        )
    if kind == "zoo":
        models.get(config.model)


def start(config: TrainConfig, classes: int, progress: Step | None = None) -> Start:
    """Build the module with `classes` classes and, where weights are named, take all of them but the head.

    Raises:
        EdgekitError: what `edgekit.source.resolve` raises; EK109 a module of another number of classes that cannot be
            built with the images'.
    """
    fresh = _resolved(config, None if source_kind(config.model) == "python_file" else SCRATCH, classes, progress)
    if fresh.classes != classes:
        raise EdgekitError(
            "EK109",
            what=f"the model has {fresh.classes or 'no'} classes, the images {classes}",
            where=config.model,
            fix="let the function take num_classes and build the last layer with it",
        )
    assert fresh.module is not None
    declared = source_kind(config.model) == "python_file" and not fresh.assumed
    said = config.preprocess is not None and config.preprocess.mean is not None
    if not config.pretrained:
        return Start(fresh.module, fresh.name, fresh.preprocess, not (declared or said))
    trained = _resolved(config, config.weights, None, progress)
    assert trained.module is not None
    head = take(fresh.module, trained.module, config)
    if config.freeze and not head:
        raise unusable("the weights have a head for these classes: nothing is new", "--freeze", "leave it out")
    told = f"started from {trained.weights}" + (f"; new: {', '.join(head)}" if head else "; its head is kept")
    return Start(fresh.module, fresh.name, trained.preprocess, False, head, (*trained.notes, told))


@torch.no_grad()
def take(module: nn.Module, trained: nn.Module, config: TrainConfig) -> tuple[str, ...]:
    """Copy the tensors of `trained` that have the same name and shape; returns the names of the parameters left.

    Raises:
        EdgekitError: EK103 more than a head is left.
    """
    given = {key: value for key, value in trained.state_dict().items() if isinstance(value, Tensor)}
    state = {key: value for key, value in module.state_dict().items() if isinstance(value, Tensor)}
    fits = {key for key, value in state.items() if key in given and given[key].shape == value.shape}
    module.load_state_dict({key: given[key] for key in fits}, strict=False)
    left = tuple(key for key, _ in module.named_parameters() if key not in fits)
    total = sum(1 for _ in module.named_parameters())
    if len(left) > total / 2:
        raise EdgekitError(
            "EK103",
            what=f"{len(left)} of {total} tensors of the weights have another shape: this is more than a new head",
            where=str(config.weights),
            fix="give the options that the weights were made with (--model-arg), or other weights",
        )
    return left


def _resolved(config: TrainConfig, weights: str | None, classes: int | None, progress: Step | None) -> Source:
    recipe = Recipe(
        config.model,
        PLACEHOLDER_TARGET,
        weights=weights,
        num_classes=classes,
        input_size=config.input_size,
        model_args=config.model_args,
        preprocess=config.preprocess,
        seed=config.seed,
    )
    if classes is not None and source_kind(config.model) == "python_file":
        recipe = _without_classes_where_it_takes_none(recipe, progress)
    return resolve(recipe, progress)


def _without_classes_where_it_takes_none(recipe: Recipe, progress: Step | None) -> Recipe:
    """A function without `num_classes` makes a net whose classes are its own affair."""
    try:
        resolve(recipe, progress)
    except EdgekitError as error:
        if error.code != "EK106" or "num_classes" not in error.what + error.where + error.fix:
            raise
        return replace(recipe, num_classes=None)
    return recipe


def run_name(config: TrainConfig, name: str) -> Path:
    """Where the run goes when nobody said."""
    return config.out or Path("runs") / name
