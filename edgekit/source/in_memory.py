"""A module of the calling program: `edgekit.export(net, target=...)`.

What is exported is a copy, made when the export starts: in eval mode, in float32, on the CPU. The caller's module keeps
its mode, its device and its dtype, and training it goes on as if nothing had been exported.
"""

import copy
import re
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import EdgekitError
from edgekit.recipe import Recipe
from edgekit.source import Source, bundle_name
from edgekit.source.choices import chosen_preprocess, input_shape, is_said, unsaid
from edgekit.source.input_size import fitting, materialize, run_on_zeros
from edgekit.source.weights import load_chosen

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)
QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")
"""Where the classes of modules stand that PyTorch's own quantization made."""


@dataclass(frozen=True, slots=True)
class InMemory:
    """A module that the caller holds.

    Args:
        name: of the bundle's folder.
    """

    module: nn.Module = field(repr=False)
    name: str

    @property
    def class_name(self) -> str:
        """Of the Python class; TorchScript keeps the one that it was made from."""
        scripted = isinstance(self.module, torch.jit.ScriptModule)
        return str(self.module.original_name) if scripted else type(self.module).__name__


def in_memory(model: object, name: str | None = None) -> InMemory:
    """`model` as a source: out of what wraps it, named after its class where no name is given.

    Raises:
        EdgekitError: EK106 for anything but a module.
    """
    if not isinstance(model, nn.Module):
        raise EdgekitError(
            "EK106",
            what=f"a model is a name, a path or an nn.Module, not a {type(model).__name__}",
            where="model",
            fix=how_to_give(model),
        )
    given = InMemory(unwrapped(model), name or "")
    return replace(given, name=bundle_name(name or snake_case(given.class_name)))


def resolve(recipe: Recipe, given: InMemory) -> Source:
    """Copy the module, put the recipe's checkpoint into the copy where one is named, and try the input size.

    Raises:
        EdgekitError: EK104 tensors that have no values yet; EK106 options that would build another module; EK107 a
            module that cannot be copied; EK201, EK203 what `run_on_zeros` finds; EK204 a module of integers.
    """
    refuse_building_options(recipe)
    refuse_quantized(given)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        module = copied(given).eval().float().cpu()
        preprocess = chosen_preprocess(recipe, unsaid(3))
        if not is_said(recipe):
            preprocess = fitting(module, preprocess)
        shape = input_shape(preprocess)
        materialize(module, shape, recipe.model)
        loaded = load_chosen(module, recipe.weights, "a module in memory")
        outputs = run_on_zeros(module, shape, recipe.model)
    return Source(
        given.name,
        module,
        None,
        shape,
        preprocess,
        loaded.weights,
        loaded.sha256,
        outputs,
        notes=loaded.notes,
        assumed=not is_said(recipe),
    )


def how_to_give(model: object) -> str:
    """What to do with an object that is taken for a model."""
    if isinstance(model, torch.export.ExportedProgram):
        return "torch.export.save(program, 'model.pt2'), and export that file"
    if isinstance(model, dict):
        return "tensors are weights: name the model, and weights='FILE'"
    if hasattr(model, "SerializeToString"):
        return "onnx.save(model, 'model.onnx'), and export that file"
    return "call it, where it is a class or a function that makes the module" if callable(model) else "give the module"


def unwrapped(module: nn.Module) -> nn.Module:
    """The module itself, out of data parallelism and torch.compile: its results are the same."""
    inner = module.module if isinstance(module, WRAPPERS) else getattr(module, "_orig_mod", None)
    return unwrapped(inner) if isinstance(inner, nn.Module) else module


def snake_case(name: str) -> str:
    """`TinyNet` -> `tiny_net`, `MobileNetV3` -> `mobile_net_v3`, `VGG16` -> `vgg16`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def refuse_building_options(recipe: Recipe) -> None:
    """EK106 for options that are arguments of a builder."""
    given = {"num_classes": recipe.num_classes is not None, "model_args": bool(recipe.model_args)}
    refused = [option for option, is_given in given.items() if is_given]
    if refused:
        raise EdgekitError(
            "EK106",
            what="a module in memory is built already",
            where=", ".join(refused),
            fix="leave these options out, and build the module with them",
        )


def refuse_quantized(given: InMemory) -> None:
    """EK204 for a module that PyTorch quantized: its weights are packed for one CPU."""
    parts = [name for name, part in given.module.named_modules() if type(part).__module__.startswith(QUANTIZED)]
    if parts:
        raise EdgekitError(
            "EK204",
            what=f"PyTorch quantized {len(parts)} parts of the module already: {', '.join(parts[:3])}",
            where=given.class_name,
            fix="give the float module: integers are made for the target; or a QDQ model as an .onnx file",
        )


def copied(given: InMemory) -> nn.Module:
    """A deep copy, of tensors that were computed from others as well (weight_norm's): deepcopy refuses those."""
    module = given.module
    tensors = (*module.named_parameters(), *module.named_buffers())
    empty = [name for name, tensor in tensors if tensor.is_meta]
    if empty:
        raise EdgekitError(
            "EK104",
            what=f"{len(empty)} tensors have no values yet: {', '.join(empty[:3])}",
            where=given.class_name,
            fix="load the weights before the module is exported",
        )
    computed = (value for part in module.modules() for value in vars(part).values() if isinstance(value, Tensor))
    known: dict[int, Any] = {id(tensor): tensor.detach().clone() for tensor in computed if not tensor.is_leaf}
    try:
        with torch.no_grad():
            return copy.deepcopy(module, known)
    except Exception as error:  # the user's classes can raise anything
        raise EdgekitError(
            "EK107",
            what=f"the module cannot be copied: {(str(error) or type(error).__name__).splitlines()[0]}",
            where=given.class_name,
            fix="keep files, locks and processes out of the module, or export it from a file: net.py:make_net",
        ) from error
