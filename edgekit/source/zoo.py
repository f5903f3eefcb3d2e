"""A model of the zoo: its registered builder, and weights that are bundled, official, random or a file."""

from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import torch
from torch import nn

from edgekit.errors import EdgekitError, did_you_mean
from edgekit.progress import Step
from edgekit.recipe import Recipe
from edgekit.registry import ModelSpec, Preprocess, Weights, models
from edgekit.source import Source, bundle_name
from edgekit.source.checkpoint import exists, file_sha256, read_checkpoint, split_choice
from edgekit.source.choices import chosen_preprocess, input_shape, is_said
from edgekit.source.download import download
from edgekit.source.input_size import check_minimum, run_on_zeros
from edgekit.source.options import check_options
from edgekit.source.weights import load_into, tensors_sha256

RANDOM = "random"
MARGIN_FROM_PIXELS = 128
"""Photographs are resized to 8/7 of the crop; images the size of CIFAR's are used whole."""


def resolve(recipe: Recipe, progress: Step | None = None) -> Source:
    """Build a zoo model, give it the weights that the recipe names, and try its input size."""
    spec = models.get(recipe.model)
    choice = choose_weights(spec, recipe.weights)
    if choice == RANDOM:
        return _random(recipe, spec)
    published = choice if isinstance(choice, Weights) else None
    chosen = fetch(published, progress) if published else str(choice)
    checkpoint, file = read_checkpoint(chosen), split_choice(chosen)[0]
    sha256 = file_sha256(file)
    known = published or next((w for w in spec.weights if w.sha256 and sha256.startswith(w.sha256)), None)
    _check_classes(recipe, known)
    loaded = load_into(
        lambda classes: build(spec.build, recipe, classes or spec.num_classes, spec.name),
        checkpoint,
        published.name if published else str(file),
        recipe.num_classes or (known.num_classes if known else None),
    )
    default = known.preprocess if known else reference_preprocess(spec, loaded.classes or spec.num_classes)
    source = _finish(recipe, spec, loaded.module, default, published.name if published else file.name, sha256)
    return replace(source, notes=loaded.notes, assumed=known is None and not is_said(recipe))


def choose_weights(spec: ModelSpec, name: str | None) -> Weights | str:
    """The published weights of that name, "random", or a file's path. None means bundled; EK104 where there is none."""
    if name == RANDOM:
        return RANDOM
    if found := spec.find_weights(name or "bundled"):
        return found
    choices = [*(w.name for w in spec.weights), RANDOM]
    listed = ", ".join([*choices, "or a FILE (.pth, .pt, .safetensors)"])
    if name is None:
        what = f"{spec.name} ships no weights of its own"
    elif name in ("bundled", "imagenet") or (not Path(name).suffix and not exists(Path(name))):
        what = f"{spec.name} has no weights called {name!r}"
    else:
        return name
    fix = f"choose --weights: {listed}"
    raise EdgekitError("EK104", what=what, where="--weights", fix=did_you_mean(name, choices, fix) if name else fix)


def fetch(weights: Weights, progress: Step | None) -> Path:
    """The file of published weights: downloaded, or beside the models. EK103 where a bundled file was changed."""
    if "://" in weights.location:
        return download(weights.location, weights.sha256, progress)
    path = Path(str(files("edgekit.models.weights").joinpath(weights.location)))
    if path.is_file() and not file_sha256(path).startswith(weights.sha256):
        raise EdgekitError(
            "EK103",
            what="the bundled weights are not the ones that the model declares: their SHA-256 differs",
            where=weights.location,
            fix="reinstall edgekit",
        )
    return path


def build(make: Callable[..., nn.Module], recipe: Recipe, classes: int, where: str) -> nn.Module:
    """Call a builder with the recipe's seed, leaving torch's global random state as it was.

    Errors:
        EK106 the builder has no such option, or refuses its value.
    """
    options = check_options(make, recipe.model_args, where)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            return make(num_classes=classes, **options).eval()
    except (ValueError, ArithmeticError, RuntimeError) as error:  # torch's own for sizes that it cannot make
        raise EdgekitError(
            "EK106",
            what=f"{where} cannot be built: {(str(error) or type(error).__name__).splitlines()[0]}",
            where="model_args" if options else "--num-classes",
            fix=f"see what its options mean: edgekit models {where}" if options else "give a smaller number of classes",
        ) from error


def reference_preprocess(spec: ModelSpec, classes: int) -> Preprocess:
    """What to feed weights that nobody published: like published ones at the reference's input size.

    The label set is kept only where the class count is the same.
    """
    height, width = spec.input_shape[1:]
    alike = [w for w in spec.weights if w.preprocess.crop == (height, width)]
    found = next((w for w in alike if w.num_classes == classes), alike[0] if alike else None)
    if found:
        return found.preprocess if found.num_classes == classes else replace(found.preprocess, labels=None)
    return replace(_scaled(Preprocess(), height, width), labels=None)


def _scaled(preprocess: Preprocess, height: int, width: int) -> Preprocess:
    if min(height, width) >= MARGIN_FROM_PIXELS:
        return preprocess.at(height, width)
    return replace(preprocess, resize=min(height, width), crop=(height, width))


def _check_classes(recipe: Recipe, known: Weights | None) -> None:
    if known and recipe.num_classes not in (None, known.num_classes):
        raise EdgekitError(
            "EK106",
            what=f"the weights {known.name!r} have {known.num_classes} classes, not {recipe.num_classes}",
            where="--num-classes",
            fix=f"leave it out, or use --weights random or a checkpoint with {recipe.num_classes} classes",
        )


def _random(recipe: Recipe, spec: ModelSpec) -> Source:
    classes = recipe.num_classes or spec.num_classes
    module = build(spec.build, recipe, classes, spec.name)
    default = replace(reference_preprocess(spec, classes), labels=None)  # untrained outputs have no names
    return _finish(recipe, spec, module, default, RANDOM, tensors_sha256(module))


def _finish(
    recipe: Recipe, spec: ModelSpec, module: nn.Module, default: Preprocess, weights: str, sha256: str
) -> Source:
    meant_for = getattr(module, "input_size", None)  # the builder's options may ask for a resolution of their own
    preprocess = chosen_preprocess(recipe, _scaled(default, *meant_for) if meant_for else default)
    shape = input_shape(preprocess)
    check_minimum(shape, getattr(module, "min_input", spec.min_input), spec.name)
    outputs = run_on_zeros(module, shape, spec.name)
    return Source(bundle_name(spec.name), module, None, shape, preprocess, weights, sha256, outputs)
