"""A run's choices from the command line, from the recipe.toml of another run, or from the folder of one to go on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.source import is_run
from edgekit.train.config import TrainConfig, make_config, unusable
from edgekit.train.run_folder import read_choices, read_run


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
