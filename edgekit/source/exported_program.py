"""A `model.pt2`: what torch.export.save wrote."""

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from edgekit.errors import EdgekitError
from edgekit.recipe import Recipe
from edgekit.source import Progress, Source, bundle_name
from edgekit.source.checkpoint import file_sha256
from edgekit.source.choices import Shape, chosen_size, preprocess_for, refuse_weight_options
from edgekit.source.input_size import run_on_zeros

INSIDE = "inside the .pt2"
# What torch.export.load raises on a file that is not its own, is truncated, or was written by an incompatible torch.
UNREADABLE = (RuntimeError, ValueError, KeyError, TypeError, AssertionError, OSError, zipfile.BadZipFile)


def resolve(recipe: Recipe, progress: Progress | None = None) -> Source:
    """Read the program; its input size and weights are what they are.

    Errors:
        EK102 no such file; EK202 not a readable .pt2; EK203 an input size that the program was not exported for;
        EK106 weights or classes that a finished program cannot take.
    """
    path = Path(recipe.model)
    if not path.is_file():
        raise EdgekitError("EK102", what="no such file", where=str(path), fix="check the path")
    refuse_weight_options(recipe, "a .pt2 file")
    program = _load(path)
    shape = _input_shape(program, path)
    if chosen_size(recipe) not in (None, shape[2:]):
        raise EdgekitError(
            "EK203",
            what=f"the program was exported for an input of {shape[2]}x{shape[3]} pixels",
            where=str(path),
            fix="leave --input-size out, or export the program again at the other size",
        )
    module = Program(program)
    classes = run_on_zeros(module, shape, str(path))
    preprocess = preprocess_for(recipe, shape, str(path))
    return Source(bundle_name(path.stem), module, None, shape, preprocess, INSIDE, file_sha256(path), classes=classes)


class Program(nn.Module):
    """An exported program as a module in eval mode. `trace` takes `exported_program` as it is, with its module paths."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self.exported_program = program
        self._call = program.module()
        self.training = False
        for part in self._call.modules():
            part.training = False

    def forward(self, x: torch.Tensor) -> Any:
        return self._call(x)


def _load(path: Path) -> ExportedProgram:
    try:
        return torch.export.load(path)
    except UNREADABLE as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EdgekitError(
            "EK202",
            what=f"not a readable .pt2: {reason}",
            where=str(path),
            fix=f"write it again with torch.export.save (this is torch {torch.__version__})",
        ) from error


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
