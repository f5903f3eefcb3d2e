"""What the recipe chooses about a model's input, and what it cannot choose for a finished file."""

from edgekit.errors import EdgekitError
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess

Shape = tuple[int, int, int, int]


def chosen_preprocess(recipe: Recipe, default: Preprocess) -> Preprocess:
    """What the recipe says, else what the weights say, at the recipe's input size."""
    preprocess = recipe.preprocess or default
    return preprocess.at(*recipe.input_size) if recipe.input_size else preprocess


def chosen_size(recipe: Recipe) -> tuple[int, int] | None:
    """(height, width) that the recipe asks for, by input_size or by its preprocessing; None where it does not."""
    return recipe.input_size or (recipe.preprocess.crop if recipe.preprocess else None)


def input_shape(preprocess: Preprocess) -> Shape:
    """(1, C, H, W) of the tensor that the preprocessing gives."""
    return (1, len(preprocess.mean), *preprocess.crop)


def plain_pixels(channels: int, height: int, width: int) -> Preprocess:
    """Pixels of 0..1 as they are: for a number of channels of which ImageNet says nothing."""
    return Preprocess(mean=(0.0,) * channels, std=(1.0,) * channels, labels=None).at(height, width)


def preprocess_for(recipe: Recipe, shape: Shape, where: str) -> Preprocess:
    """The preprocessing for a file that fixes its own input shape and says nothing else.

    Without a recipe table [preprocess] it is ImageNet's normalisation for three channels and 0..1 for any other number.

    Errors:
        EK203 the model takes another number of channels than the recipe's mean has.
    """
    channels, height, width = shape[1:]
    default = Preprocess(labels=None) if channels == 3 else plain_pixels(channels, height, width)
    preprocess = (recipe.preprocess or default).at(height, width)
    if len(preprocess.mean) != channels:
        raise EdgekitError(
            "EK203",
            what=f"the model takes {channels} channels, the preprocessing gives {len(preprocess.mean)}",
            where=where,
            fix=f"give {channels} numbers as mean and std in the recipe's table [preprocess]",
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
