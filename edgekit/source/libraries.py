"""Models of installed libraries: `timm:NAME` and `torchvision:NAME`, fed as the library's own configuration says."""

import importlib
import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from edgekit.errors import EdgekitError, did_you_mean
from edgekit.progress import Step
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess
from edgekit.source import Source, bundle_name
from edgekit.source.checkpoint import exists, file_sha256, read_checkpoint, split_choice
from edgekit.source.choices import chosen_preprocess, input_shape, is_said
from edgekit.source.download import download
from edgekit.source.input_size import fitting, run_on_zeros
from edgekit.source.weights import load_chosen, load_weights

IMAGENET, RANDOM = "imagenet", "random"
IMAGENET_CLASSES = 1000


def resolve(recipe: Recipe, progress: Step | None = None) -> Source:
    """Build a library's model with the weights that the recipe names, and try its input size."""
    library, _, name = recipe.model.partition(":")
    package = _import(library)
    known = package.list_models() if library == "timm" else package.models.list_models()
    if name.partition(".")[0] not in known:
        models = f"{library}.list_models()" if library == "timm" else f"{library}.models.list_models()"
        fix = did_you_mean(name, known, f"list them with: python -c 'import {library}; print(*{models})'")
        raise EdgekitError("EK101", what=f"{library} has no model {name!r}", where="model", fix=fix)
    weights = _weights_choice(recipe)
    module, declared, sha256 = _built(package, recipe, progress)
    from_file = weights not in (IMAGENET, RANDOM)
    loaded = load_chosen(module, weights if from_file else None, recipe.model, _rebuild(package, recipe))
    preprocess = chosen_preprocess(recipe, declared)
    if not is_said(recipe):
        preprocess = fitting(loaded.module, preprocess)
    shape = input_shape(preprocess)
    outputs = run_on_zeros(loaded.module, shape, recipe.model)
    if [output.classes for output in outputs] != [IMAGENET_CLASSES] or weights == RANDOM:
        preprocess = replace(preprocess, labels=None)
    named, sha256 = (loaded.weights, loaded.sha256) if from_file else (weights, sha256 or loaded.sha256)
    return Source(bundle_name(name), loaded.module, None, shape, preprocess, named, sha256, outputs, notes=loaded.notes)


def _built(package: ModuleType, recipe: Recipe, progress: Step | None) -> tuple[nn.Module, Preprocess, str]:
    """The module with the recipe's seed, what to feed it, and the SHA-256 of its file where it has one."""
    library, _, name = recipe.model.partition(":")
    make = _timm if library == "timm" else _torchvision
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        module, declared, sha256 = make(package, name, recipe, progress)
    return module.eval().float(), declared, sha256


def _rebuild(package: ModuleType, recipe: Recipe) -> Callable[[int], nn.Module] | None:
    """The module with another number of classes, where the recipe says none."""
    if recipe.num_classes is not None:
        return None
    return lambda classes: _built(package, replace(recipe, num_classes=classes), None)[0]


def _import(library: str) -> ModuleType:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        what, fix = f"{library} is not installed", f"pip install 'edgekit[{library}]'"
        raise EdgekitError("EK701", what=what, where=f"model {library}:NAME", fix=fix) from error
    except (RuntimeError, OSError) as error:  # a build for another torch, or for CUDA where torch has none
        what = f"{library} cannot be loaded: {str(error).splitlines()[0]}"
        fix = f"install the build that belongs to torch {torch.__version__}"
        raise EdgekitError("EK701", what=what, where=f"model {library}:NAME", fix=fix) from error


def _weights_choice(recipe: Recipe) -> str:
    """ "imagenet", "random" or a file's path; EK104 where nothing, or an unknown name, was chosen."""
    name = recipe.weights
    if name is None or (name not in (IMAGENET, RANDOM) and not Path(name).suffix and not exists(Path(name))):
        raise EdgekitError(
            "EK104",
            what="the weights must be named" if name is None else f"no weights are called {name!r}",
            where="--weights",
            fix="choose --weights: imagenet (the library's own), random, or a FILE (.pth, .pt, .safetensors)",
        )
    if name == IMAGENET and recipe.num_classes not in (None, IMAGENET_CLASSES):
        raise EdgekitError(
            "EK106",
            what=f"the weights 'imagenet' have {IMAGENET_CLASSES} classes, not {recipe.num_classes}",
            where="--num-classes",
            fix=f"leave it out, or use --weights random or a checkpoint with {recipe.num_classes} classes",
        )
    return name


def _timm(timm: ModuleType, name: str, recipe: Recipe, progress: Step | None) -> tuple[nn.Module, Preprocess, str]:
    pretrained = recipe.weights == IMAGENET
    classes = {} if recipe.num_classes is None else {"num_classes": recipe.num_classes}
    try:
        module = timm.create_model(name, pretrained=pretrained, **classes, **recipe.model_args)
    except (TypeError, ValueError) as error:
        raise _not_built(recipe, error) from error
    except (OSError, RuntimeError) as error:  # what urllib, requests, httpx and huggingface_hub derive theirs from
        if not pretrained:
            raise _not_built(recipe, error) from error
        raise EdgekitError(
            "EK105",
            what=f"timm could not download the weights: {str(error).splitlines()[0]}",
            where=recipe.model,
            fix="connect to the network, or name a file with --weights FILE",
        ) from error
    config = timm.data.resolve_model_data_config(module)
    return module, _timm_feed(config, recipe), ""


def _timm_feed(config: dict[str, Any], recipe: Recipe) -> Preprocess:
    """timm's preprocessing, where the recipe does not say all of it, or what timm cannot."""
    own = recipe.preprocess
    if isinstance(own, Preprocess):
        return own
    if own is not None and own.interpolation is not None:
        config = {**config, "interpolation": own.interpolation, "crop_mode": "center"}
    return timm_preprocess(config, recipe.model)


def timm_preprocess(config: dict[str, Any], where: str) -> Preprocess:
    """timm's data configuration as a Preprocess; EK106 where it needs a step that edgekit does not have.

    timm resizes the shorter side to floor(size / crop_pct) and cuts the centre.
    """
    height, width = config["input_size"][1:]
    mode, interpolation = config.get("crop_mode", "center"), config["interpolation"]
    if interpolation not in ("bilinear", "bicubic") or (mode != "center" and config["crop_pct"] != 1.0):
        raise EdgekitError(
            "EK106",
            what=f"the model's images need crop mode {mode!r} with {interpolation} resampling",
            where=where,
            fix="say what to use instead: --interpolation bilinear or bicubic",
        )
    return Preprocess(
        resize=math.floor(min(height, width) / config["crop_pct"]),
        crop=(height, width),
        interpolation=interpolation,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def _torchvision(
    torchvision: ModuleType, name: str, recipe: Recipe, progress: Step | None
) -> tuple[nn.Module, Preprocess, str]:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    if not hasattr(preset, "resize_size"):
        raise EdgekitError(
            "EK106",
            what=f"{name} is not an image classifier of torchvision",
            where=recipe.model,
            fix="export it from a file: file.py:callable",
        )
    module = _build_torchvision(torchvision, name, recipe)
    if recipe.weights == IMAGENET:
        file = download(weights.url, _hash_in(weights.url), progress)
        load_weights(module, read_checkpoint(file), file.name)
        return module, torchvision_preprocess(preset), file_sha256(file)
    return module, torchvision_preprocess(_preset_of_file(recipe.weights, type(weights)) or preset), ""


def _build_torchvision(torchvision: ModuleType, name: str, recipe: Recipe) -> nn.Module:
    options: dict[str, Any] = dict(recipe.model_args)
    if recipe.num_classes is not None:
        options["num_classes"] = recipe.num_classes
    if name in ("googlenet", "inception_v3"):
        options.setdefault("init_weights", True)  # they warn that this default will change
    try:
        builder = torchvision.models.get_model_builder(name)
        if "weights_backbone" in inspect.signature(builder).parameters:
            options.setdefault("weights_backbone", None)  # else it downloads what the model's own weights overwrite
        module: nn.Module = builder(weights=None, **options)
    except (TypeError, ValueError) as error:
        raise _not_built(recipe, error) from error
    return module


def _hash_in(url: str) -> str:
    """torchvision's file names end in the first digits of their SHA-256."""
    return Path(url).stem.rpartition("-")[2]


def _preset_of_file(file: str | None, weights: Any) -> Any:
    """The preset of the official file that `file` is, if it is one: V1 and V2 weights are fed differently."""
    path, _ = split_choice(file or "")
    if not exists(path) or not path.is_file():
        return None
    sha256 = file_sha256(path)
    return next((member.transforms() for member in weights if sha256.startswith(_hash_in(member.url))), None)


def torchvision_preprocess(preset: Any) -> Preprocess:
    """torchvision's ImageClassification preset as a Preprocess."""
    return Preprocess(
        resize=preset.resize_size[0],
        crop=(preset.crop_size[0], preset.crop_size[0]),
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


def _not_built(recipe: Recipe, error: Exception) -> EdgekitError:
    return EdgekitError(
        "EK106",
        what=f"{recipe.model} cannot be built: {str(error).splitlines()[0]}",
        where="model_args" if recipe.model_args else "--num-classes",
        fix="leave out the option that it does not take",
    )
