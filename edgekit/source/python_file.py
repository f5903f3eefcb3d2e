"""The user's own model: `file.py:callable`, where the callable returns an nn.Module.

The callable takes no argument, or `num_classes`; further keyword arguments come from the recipe's `model_args`. A name
PREPROCESS in the file (an edgekit.registry.Preprocess) says what to feed the model; without one, and without a recipe
table [preprocess], it is ImageNet's normalisation at 224 x 224.
"""

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from edgekit.source.choices import Shape, chosen_preprocess, input_shape, is_said, unsaid
from edgekit.source.input_size import fitting, materialize, run_on_zeros
from edgekit.source.weights import load_chosen

_neighbours: set[str] = set()
"""Names of the modules that the last file imported from its own folder."""


def resolve(recipe: Recipe, progress: Step | None = None) -> Source:
    """Run the file, call the callable with the recipe's seed, and try the input size."""
    path, name = _split(recipe.model)
    with _importing_from(path.parent), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        file = _run_file(path)
        found = _attribute(file, path, name)
        module = _build(path, name, found, recipe)
        declared = _declared_preprocess(file, path)
        assumed = declared is None and not is_said(recipe)
        preprocess = chosen_preprocess(recipe, declared or unsaid(3))
        if assumed:
            preprocess = fitting(module, preprocess)
        shape = input_shape(preprocess)
        materialize(module, shape, recipe.model)
        loaded = load_chosen(
            module, recipe.weights, "a model from a Python file", _rebuild(path, name, found, recipe, shape)
        )
        outputs = run_on_zeros(loaded.module, shape, recipe.model)
    return Source(
        bundle_name(name),
        loaded.module,
        None,
        shape,
        preprocess,
        loaded.weights,
        loaded.sha256,
        outputs,
        notes=loaded.notes,
        assumed=assumed,
    )


def _split(model: str) -> tuple[Path, str]:
    file, _, name = model.rpartition(":") if not model.endswith(".py") else (model, "", "")
    path = Path(file)
    if not path.is_file():
        raise EdgekitError("EK102", what="no such Python file", where=str(path), fix="check the path before the colon")
    if not name.isidentifier():
        raise EdgekitError(
            "EK107",
            what="the function that builds the model is not named",
            where=model,
            fix=f"write {path}:NAME, where NAME is a function that returns an nn.Module",
        )
    return path, name


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Let the file import its neighbours, as if it were run as a script; write no __pycache__ beside it.

    What an earlier file imported from its own folder is forgotten first: two models may each have a `blocks.py`.
    """
    while _neighbours:
        sys.modules.pop(_neighbours.pop(), None)
    known = set(sys.modules)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))
        sys.dont_write_bytecode = before
        _neighbours.update(name for name in set(sys.modules) - known if _is_beside(folder, name))


def _is_beside(folder: Path, name: str) -> bool:
    """Whether a module came from this folder itself, not from an environment that lies in it."""
    file, top = getattr(sys.modules[name], "__file__", None), name.partition(".")[0]
    if file is None or not Path(file).resolve().is_relative_to(folder.resolve()):
        return False
    return Path(file).resolve().relative_to(folder.resolve()).parts[0] in (top, f"{top}.py")


def _run_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"edgekit_source_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise EdgekitError("EK107", what="not a Python file", where=str(path), fix="name a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look classes up by their module's name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's code can raise anything
        raise _raised(path, "the file", error) from error
    return module


def _attribute(file: ModuleType, path: Path, name: str) -> Any:
    if hasattr(file, name):
        return getattr(file, name)
    own = [key for key, value in vars(file).items() if getattr(value, "__module__", None) == file.__name__]
    raise EdgekitError(
        "EK107",
        what=f"the file has no {name!r}",
        where=str(path),
        fix=did_you_mean(name, own, f"it defines: {', '.join(own) or 'nothing that can be called'}"),
    )


def _rebuild(path: Path, name: str, found: Any, recipe: Recipe, shape: Shape) -> Callable[[int], nn.Module] | None:
    """The module with another number of classes, where the callable takes one and the recipe says none."""
    said = recipe.num_classes is not None or "num_classes" in recipe.model_args
    if said or isinstance(found, nn.Module) or not _takes_classes(found):
        return None

    def rebuild(classes: int) -> nn.Module:
        module = _build(path, name, found, replace(recipe, num_classes=classes))
        materialize(module, shape, recipe.model)
        return module

    return rebuild


def _takes_classes(found: Any) -> bool:
    try:
        inspect.signature(found).bind_partial(num_classes=2)
    except (TypeError, ValueError):
        return False
    return True


def _build(path: Path, name: str, found: Any, recipe: Recipe) -> nn.Module:
    """The module in eval mode, float32, on the CPU."""
    if isinstance(found, nn.Module):
        return found.eval().float().cpu()
    if not callable(found):
        raise EdgekitError(
            "EK107",
            what=f"{name!r} is a {type(found).__name__}, not a function",
            where=str(path),
            fix="name a function or class that returns an nn.Module",
        )
    arguments = _arguments(path, name, found, recipe)
    try:
        module = found(**arguments)
    except (Exception, SystemExit) as error:  # the user's code can raise anything
        raise _raised(path, f"{name}()", error) from error
    if not isinstance(module, nn.Module):
        line = getattr(getattr(found, "__code__", None), "co_firstlineno", None)
        raise EdgekitError(
            "EK107",
            what=f"{name}() returned {type(module).__name__}, not an nn.Module",
            where=f"{path}:{line}" if line else str(path),
            fix="return the module itself",
        )
    return module.eval().float().cpu()


def _arguments(path: Path, name: str, found: Any, recipe: Recipe) -> dict[str, Any]:
    """Keyword arguments for the callable; EK106 for one it does not take, EK107 where it needs others."""
    arguments: dict[str, Any] = dict(recipe.model_args)
    if recipe.num_classes is not None:
        arguments["num_classes"] = recipe.num_classes
    try:
        inspect.signature(found).bind(**arguments)
    except TypeError as error:
        surplus = "unexpected" in str(error)
        raise EdgekitError(
            "EK106" if surplus else "EK107",
            what=f"{name}() {str(error).replace('got an', 'takes no') if surplus else f'needs arguments: {error}'}",
            where=f"{path}:{name}",
            fix="leave out --num-classes or the model_args that it does not take"
            if surplus
            else "give its parameters defaults, or put them into the recipe's model_args",
        ) from error
    return arguments


def _declared_preprocess(file: ModuleType, path: Path) -> Preprocess | None:
    declared: Preprocess | None = getattr(file, "PREPROCESS", None)
    if declared is not None and not isinstance(declared, Preprocess):
        raise EdgekitError(
            "EK107",
            what=f"PREPROCESS is a {type(declared).__name__}",
            where=str(path),
            fix="make it an edgekit.registry.Preprocess",
        )
    return declared


def _raised(path: Path, what: str, error: BaseException) -> EdgekitError:
    """EK107 at the last line of the user's own file that the error passed through."""
    own = path.resolve()  # tracebacks hold absolute names, whatever the user wrote
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:  # its own place is not among the frames
        places.append((error.filename, error.lineno))
    lines = [line for file, line in places if Path(file).resolve() == own]
    line = lines[-1] if lines else None
    return EdgekitError(
        "EK107",
        what=f"{what} raised {type(error).__name__}: {str(error) or 'no message'}".splitlines()[0],
        where=f"{path}:{line}" if line else str(path),
        fix="correct that line; the file must run on its own with: python " + str(path),
    )
