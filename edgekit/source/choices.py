"""What the recipe chooses about a model's input, and what it cannot choose for a finished file."""

from typing import TYPE_CHECKING

from edgekit.errors import EdgekitError
from edgekit.recipe import OwnPreprocess, Recipe
from edgekit.registry import Preprocess

if TYPE_CHECKING:
    pass

Shape = tuple[int, int, int, int]


def chosen_preprocess(recipe: Recipe, default: Preprocess) -> Preprocess:
    """What the recipe says, else what the weights say, at the recipe's input size."""
    preprocess = said(recipe, default)
    return preprocess.at(*recipe.input_size) if recipe.input_size else preprocess


def is_said(recipe: Recipe) -> bool:
    """Whether the recipe says how pixels become the model's numbers."""
    own = recipe.preprocess
    return own is not None and own.mean is not None and own.std is not None


def said(recipe: Recipe, default: Preprocess) -> Preprocess:
    """What the recipe says of images, over what is so without it.

    Errors:
        EK106 as many means as the model takes no channels.
    """
    if not isinstance(recipe.preprocess, OwnPreprocess):
        return recipe.preprocess or default
    made = recipe.preprocess.over(default)
    if len(made.mean) != len(made.std):
        raise EdgekitError(
            "EK106",
            what=f"{len(made.mean)} means and {len(made.std)} deviations for a model of {len(default.mean)} channels",
            where="preprocess",
            fix="give --mean and --std together, one number per channel",
        )
    return made


def chosen_size(recipe: Recipe) -> tuple[int, int] | None:
    """(height, width) that the recipe asks for, by input_size or by its preprocessing; None where it does not."""
    return recipe.input_size or (recipe.preprocess.crop if recipe.preprocess else None)


def input_shape(preprocess: Preprocess) -> Shape:
    """(1, C, H, W) of the tensor that the preprocessing gives."""
    return (1, len(preprocess.mean), *preprocess.crop)


def unsaid(channels: int) -> Preprocess:
    """What is assumed of so many channels: ImageNet's normalisation for three, else pixels of 0..1 as they are."""
    if channels == 3:
        return Preprocess(labels=None)
    return Preprocess(mean=(0.0,) * channels, std=(1.0,) * channels, labels=None)


def preprocess_for(recipe: Recipe, shape: Shape, where: str) -> Preprocess:
    """The preprocessing for a file that fixes its own input shape and says nothing else.

    Without a recipe table [preprocess] it is ImageNet's normalisation for three channels and 0..1 for others.

    Errors:
        EK203 the model does not take as many channels as the recipe's mean has.
    """
    channels, height, width = shape[1:]
    preprocess = said(recipe, unsaid(channels)).at(height, width)
    if len(preprocess.mean) != channels:
        raise EdgekitError(
            "EK203",
            what=f"the model takes {channels} channels, the preprocessing gives {len(preprocess.mean)}",
            where=where,
            fix="give one mean and one std per channel: --mean and --std, or the recipe's table [preprocess]",
        )
    return preprocess


def refuse_weight_options(recipe: Recipe, kind: str) -> None:
    """EK106 for options that would change the weights of a file that holds its own."""
    given = {
        "--weights": recipe.weights is not None,
        "--num-classes": recipe.num_classes is not None,
        "model_args": bool(recipe.model_args),
    }
    refused = [option for option, is_given in given.items() if is_given]
    if refused:
        raise EdgekitError(
            "EK106",
            what=f"{kind} holds its own weights and structure",
            where=", ".join(refused),
            fix="leave these options out, or start from the PyTorch model",
        )
