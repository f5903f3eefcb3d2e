"""The files that a recipe names are files, before any reader opens one of them."""

import re
import stat
from pathlib import Path

from edgekit.files import GIGABYTE, check_regular, status
from edgekit.recipe import Recipe

LARGEST_MODEL = 64 * GIGABYTE
FUNCTION = re.compile(r"(?<=\.py):.*", re.DOTALL)
"""Behind the path of a Python file, what in it makes the model."""


def check_named_files(recipe: Recipe) -> None:
    """EK102 where the model or the weights are a device, a pipe or a socket, a path that cannot be, or endless.

    What is not there is left to the reader, who knows whether it is a name and which near misses there are. Images and
    labels have a reader each, which looks for itself.
    """
    named = {"the model": FUNCTION.sub("", recipe.model), "the weights": recipe.weights}
    for what, name in named.items():
        found = status(name, what) if name else None
        if name and found and not stat.S_ISDIR(found.st_mode):
            check_regular(Path(name), LARGEST_MODEL, what)
