"""A `model.pt2`: what torch.export.save wrote."""

import io
import json
import logging
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch._export.verifier import SpecViolationError
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from edgekit.errors import EdgekitError
from edgekit.progress import Step
from edgekit.recipe import Recipe
from edgekit.source import Source, bundle_name
from edgekit.source.checkpoint import BROKEN, file_sha256
from edgekit.source.choices import Shape, chosen_size, is_said, preprocess_for, refuse_weight_options
from edgekit.source.input_size import run_on_zeros

INSIDE = "inside the .pt2"
# What torch.export.load raises on a file that is not its own, is truncated, or was written by an incompatible torch;
# like torch.load, it fails wherever its reader happens to stop.
UNREADABLE = (*BROKEN, SyntaxError, ArithmeticError, SpecViolationError)


def resolve(recipe: Recipe, progress: Step | None = None) -> Source:
    """Read the program; its input size and weights are what they are.

    Errors:
        EK102 no such file, or pickled code; EK201 exported in training mode; EK202 not a readable .pt2; EK203 an input
        size that the program was not exported for; EK106 weights or classes that a finished program cannot take.
    """
    path = Path(recipe.model)
    if not path.is_file():
        raise EdgekitError("EK102", what="no such file", where=str(path), fix="check the path")
    refuse_weight_options(recipe, "a .pt2 file")
    program = _load(path)
    if any(map(_trains, program.graph.nodes)):
        raise EdgekitError(
            "EK201",
            what="the program was exported in training mode: its BatchNorm or Dropout layers would go on training",
            where=str(path),
            fix="call .eval() on the module and export it again",
        )
    shape = _input_shape(program, path)
    if chosen_size(recipe) not in (None, shape[2:]):
        raise EdgekitError(
            "EK203",
            what=f"the program was exported for an input of {shape[2]}x{shape[3]} pixels",
            where=str(path),
            fix="leave --input-size out, or export the program again at the other size",
        )
    module = Program(program)
    outputs = run_on_zeros(module, shape, str(path))
    preprocess = preprocess_for(recipe, shape, str(path))
    assumed = not is_said(recipe)
    return Source(
        bundle_name(path.stem), module, None, shape, preprocess, INSIDE, file_sha256(path), outputs, assumed=assumed
    )


class Program(nn.Module):
    """An exported program as a module in eval mode. `trace` takes `exported_program` as it is, with module paths."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self.exported_program = program
        self._call = program.module()
        self.training = False
        for part in self._call.modules():
            part.training = False

    def forward(self, x: torch.Tensor) -> Any:
        return self._call(x)


class FirstFailure(logging.Filter):
    """Keeps a failure that torch logs with its traceback before it tries an older format; that log is not for users."""

    error: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.exc_info:
            return True
        self.error = self.error or record.exc_info[1]
        return False


def _load(path: Path) -> ExportedProgram:
    log, first = logging.getLogger("torch.export"), FirstFailure()
    log.addFilter(first)
    try:
        _refuse_code(path)
        return torch.export.load(path)
    except UNREADABLE as error:
        cause = first.error or error  # the later one only says that the file is not of the older format either
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        raise EdgekitError(
            "EK202",
            what=f"not a readable .pt2: {reason}",
            where=str(path),
            fix=f"write it again with torch.export.save (this is torch {torch.__version__})",
        ) from error
    finally:
        log.removeFilter(first)


def _refuse_code(path: Path) -> None:
    """EK102 for a pickle that holds more than tensors: torch.export.load would run it."""
    with zipfile.ZipFile(path) as archive:
        for name in _pickles(archive):
            try:
                torch.load(io.BytesIO(archive.read(name)), map_location="cpu", weights_only=True)
            except pickle.UnpicklingError as error:
                raise EdgekitError(
                    "EK102",
                    what=f"{name.partition('/')[2]} in the .pt2 needs code to be loaded, which is never run",
                    where=str(path),
                    fix="export a module that holds tensors alone, with tensors as its example inputs",
                ) from error


def _pickles(archive: zipfile.ZipFile) -> Iterator[str]:
    """The members that torch.export.load unpickles: example inputs, and what its lists of weights and constants say."""
    for name in archive.namelist():
        if name.endswith(".pt"):
            yield name
        elif name.endswith("_config.json"):
            folder = name.rpartition("/")[0]
            entries = json.loads(archive.read(name)).get("config", {}).values()
            yield from (f"{folder}/{entry['path_name']}" for entry in entries if entry.get("use_pickle"))


def _trains(node: fx.Node) -> bool:
    """Whether an operator was captured with its `training` or `train` argument set."""
    schema = getattr(node.target, "_schema", None)
    given = {} if schema is None else dict(zip((a.name for a in schema.arguments), node.args, strict=False))
    return any({**given, **node.kwargs}.get(name) is True for name in ("training", "train"))


def _input_shape(program: ExportedProgram, path: Path) -> Shape:
    names = [spec.arg.name for spec in program.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT]
    shapes = [tuple(node.meta["val"].shape) for node in program.graph.nodes if node.name in names]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][0] != 1 or not all(isinstance(s, int) for s in shapes[0]):
        described = ", ".join("x".join(map(str, shape)) for shape in shapes) or "none"
        raise EdgekitError(
            "EK203",
            what=f"the program's inputs are {described}, not one image 1xCxHxW of fixed size",
            where=str(path),
            fix="export it with one example image, batch 1, without dynamic_shapes",
        )
    return shapes[0]
