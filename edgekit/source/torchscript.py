"""A `model.pt` that holds a program: what torch.jit.save wrote.

Files of that suffix mostly hold weights, and some a whole module that torch.save pickled; those are told apart here and
refused, since weights are no model, and a pickled module is its class's code, which is never run.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.progress import Step
from edgekit.recipe import Recipe
from edgekit.source import Source, bundle_name
from edgekit.source.checkpoint import BROKEN, check_file, file_sha256, is_torchscript, read_object
from edgekit.source.choices import chosen_preprocess, input_shape, is_said, refuse_weight_options, unsaid
from edgekit.source.inert import Placeholder
from edgekit.source.input_size import run_on_zeros

INSIDE = "inside the TorchScript file"
INTEGERS = ("LinearPackedParamsBase", "Conv2dPackedParamsBase", "Conv1dPackedParamsBase")
"""Classes of weights that PyTorch's own quantization packed for one CPU."""

TRAINING = {"aten::batch_norm": 5, "aten::dropout": 2, "aten::feature_dropout": 2}
"""Operators that train, and the place of the argument that says whether they do."""


def resolve(recipe: Recipe, progress: Step | None = None) -> Source:
    """Load the program, and try the input size; its weights are what they are.

    Errors:
        EK102 no such file, or unreadable; EK106 a checkpoint or a pickled module, which are no model, or options that a
        finished program cannot take; EK201, EK203 what `run_on_zeros` finds; EK204 a quantized program.
    """
    path = Path(recipe.model)
    if not path.is_file():
        raise EdgekitError("EK102", what="no such file", where=str(path), fix="check the path")
    if not is_torchscript(path):
        raise _no_model(path)
    refuse_weight_options(recipe, "a TorchScript file")
    module = Script(_load(path)).eval().float()
    _refuse_integers(module.script, path)
    _refuse_training(module.script, path)
    preprocess = chosen_preprocess(recipe, unsaid(_channels(module)))
    shape = input_shape(preprocess)
    outputs = run_on_zeros(module, shape, str(path))
    name, assumed = bundle_name(path.stem), not is_said(recipe)
    return Source(name, module, None, shape, preprocess, INSIDE, file_sha256(path), outputs, assumed=assumed)


class Script(nn.Module):
    """A TorchScript program as a module that can be traced like any other. Args: script: what torch.jit.load gave."""

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.script = script

    def forward(self, x: torch.Tensor) -> Any:
        return self.script(x)


def _load(path: Path) -> torch.jit.ScriptModule:
    try:
        script: torch.jit.ScriptModule = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except BROKEN as error:
        raise EdgekitError(
            "EK102",
            what=f"the TorchScript file cannot be read: {(str(error).strip() or 'it ends too early').splitlines()[0]}",
            where=str(path),
            fix=f"write it again with torch.jit.save (this is torch {torch.__version__})",
        ) from error
    return script


def _channels(module: nn.Module) -> int:
    """Channels of the first weights that are a convolution's; a program's layers do not say what they are."""
    shapes = [tuple(tensor.shape) for tensor in module.state_dict().values()]
    return next((shape[1] for shape in shapes if len(shape) == 4), 3)


def _refuse_integers(script: torch.jit.ScriptModule, path: Path) -> None:
    """EK204 for a program that PyTorch quantized."""
    if any(name in str(script.graph) for name in INTEGERS) or "quantized::" in str(script.inlined_graph):
        raise EdgekitError(
            "EK204",
            what="PyTorch quantized the program already, for one kind of CPU",
            where=str(path),
            fix="give the float model: integers are made for the target",
        )


def _refuse_training(script: torch.jit.ScriptModule, path: Path) -> None:
    """EK201 for a program that was traced in training mode, which is written into it."""
    graph: Any = script.inlined_graph
    trains = (
        list(node.inputs())[place].toIValue() is True
        for kind, place in TRAINING.items()
        for node in graph.findAllNodes(kind, recurse=True)
    )
    if any(trains):
        raise EdgekitError(
            "EK201",
            what="the program was traced in training mode: its BatchNorm or Dropout layers would go on training",
            where=str(path),
            fix="call .eval() on the module and trace it again",
        )


def _no_model(path: Path) -> EdgekitError:
    """Why a file of torch.save is no model, in words for what it holds."""
    check_file(path, "the model")
    loaded = None if path.suffix.lower() == ".safetensors" else read_object(path)
    if isinstance(loaded, Placeholder) and isinstance(loaded.state, dict) and "_modules" in loaded.state:
        return EdgekitError(
            "EK106",
            what=f"{path} is a pickled module ({loaded.name}): weights, and the name of a class, not its code",
            where="model",
            fix=f"build it in a file and give it these weights: edgekit export file.py:callable --weights {path}",
        )
    return EdgekitError(
        "EK106",
        what=f"{path} is a checkpoint: it holds weights, not a model",
        where="model",
        fix=f"name the model too: edgekit export MODEL --weights {path}",
    )
