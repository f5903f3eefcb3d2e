"""A run's choices from the command line, from the recipe.toml of another run, or from the folder of one to go on."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit.source import is_run
from edgekit.train.config import TrainConfig, make_config, unusable
from edgekit.train.run_folder import read_choices, read_run

NAMES_OF_FILES = ("model", "weights", "teacher", "teacher_weights")


def located(config: TrainConfig) -> TrainConfig:
    """Files that the choices name as text, by absolute paths: a run goes on, and is exported, from any folder."""
    places: dict[str, Any] = {name: _absolute(getattr(config, name)) for name in NAMES_OF_FILES}
    return replace(config, **places)


def _absolute(name: str | None) -> str | None:
    """A name that is no file of weights, Python file or run folder stays as it is."""
    file, _, function = (name or "").rpartition(":")
    if file.endswith(".py"):
        return f"{os.path.abspath(file)}:{function}"
    is_place = name is not None and (os.path.isfile(name.rpartition("#")[0] or name) or is_run(name))
    return os.path.abspath(name) if name is not None and is_place else name


def chosen(given: Mapping[str, Any], recipe: Path | None = None) -> TrainConfig:
    """What was given, over the choices of a recipe.toml, or of the run folder that stands in the model's place.

    Raises:
        EdgekitError: EK102, EK106 as `make_config` and the files' readers.
    """
    model = str(given.get("model") or "")
    if model and is_run(model):
        if not given.get("resume"):
            raise unusable(
                "the model is the folder of a run",
                model,
                f"go on with it by --resume, or start from its weights: MODEL --weights {model}/weights.safetensors",
            )
        return make_config(**{**read_run(Path(model)), **given, "model": read_run(Path(model))["model"]})
    return make_config(**{**(read_choices(recipe) if recipe else {}), **given})
