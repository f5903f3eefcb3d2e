"""The folder that `edgekit train` leaves, as a model: its net, weights, classes, preprocessing and pictures."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

from edgekit.errors import EdgekitError
from edgekit.images.labels import read_labels
from edgekit.progress import Step
from edgekit.recipe import Recipe, make_recipe, read_recipe
from edgekit.source import Source, source_kind
from edgekit.source.choices import refuse_weight_options

EXPORT, WEIGHTS, LABELS, CALIBRATION = "export.toml", "weights.safetensors", "labels.txt", "calibration.npz"


def resolve(recipe: Recipe, progress: Step | None = None) -> Source:
    """The model of a finished run, as its export.toml says; of the recipe, the input size and seed still count.

    Errors:
        EK102 the run is not finished; EK106 options that a run says itself; and those of the model's own kind.
    """
    folder = Path(recipe.model)
    if not (folder / EXPORT).is_file():
        raise EdgekitError(
            "EK102",
            what="the run is not finished: it has no weights yet",
            where=recipe.model,
            fix=f"go on with it: edgekit train {folder} --resume",
        )
    refuse_weight_options(recipe, "the folder of a run")
    own = make_recipe(**read_recipe(folder / EXPORT), targets=recipe.targets, input_size=recipe.input_size)
    own = replace(own, seed=recipe.seed, preprocess=recipe.preprocess or own.preprocess)
    source: Source = import_module(f"edgekit.source.{source_kind(own.model)}").resolve(own, progress)
    pictures = folder / CALIBRATION
    return replace(
        source,
        labels=read_labels(folder / LABELS).names,
        weights=f"{folder.absolute().name}/{WEIGHTS}",
        pictures=pictures if pictures.is_file() else None,
        assumed=False,
    )
