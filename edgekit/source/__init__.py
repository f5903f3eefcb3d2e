"""Resolving what the user named into a model: a module or a graph, its weights, and what to feed it.

    zoo name              zoo.py               registered builder + bundled, official, random or file weights
    file.py:callable      python_file.py       the user's own nn.Module
    an nn.Module          in_memory.py         what the calling program holds
    timm:NAME             libraries.py         (torchvision:NAME as well)
    model.onnx            onnx_file.py         a graph; float or QDQ
    model.pt2             exported_program.py  a saved torch.export program
    model.pt              torchscript.py       a TorchScript program; a checkpoint there is refused
    RUN                   run_folder.py        the folder that `edgekit train` leaves

Everything that can be wrong with a model, its weights or its input size is found here, before anything is written.
This package itself does not import torch: images, preprocessing and labels are needed where torch is not.
"""

import os
import re
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import EdgekitError
from edgekit.images.folder import ImageFolder
from edgekit.images.labels import label_names, read_labels
from edgekit.progress import Step
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess
from edgekit.source.named_files import check_named_files
from edgekit.source.outputs import OutputSpec
from edgekit.target import runtimes

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

    from edgekit.source.in_memory import InMemory

CHECKPOINT_SUFFIXES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar", ".safetensors")
PREPROCESS_OPTIONS = ("--mean", "--std", "--resize", "--crop", "--interpolation", "--bgr")
RUN_FILES = ("export.toml", "recipe.toml")
"""What a folder of `edgekit train` holds, at its end and from its beginning."""
SCRIPT_SUFFIXES = (".torchscript", ".ptl", ".jit", ".ts")


@dataclass(frozen=True, slots=True)
class Source:
    """A model ready to be traced, or a graph ready to be simplified. Exactly one of `module` and `graph` is there.

    Args:
        name: of the bundle's folder: the zoo name, the callable's name or the file's stem.
        module: in eval mode, float32, on the CPU; it has run once on zeros of `input_shape`.
        graph: of static input shape, float32; its opset is the file's, and 21 where it is quantized.
        input_shape: (1, channels, height, width).
        weights: "bundled", "imagenet", "random", or the name of the file they came from.
        weights_sha256: of the weights file or, where there is none, of the tensors.
        labels: class names by index; empty where they are not known.
        outputs: in the model's own order.
        quantized: the graph holds QuantizeLinear/DequantizeLinear pairs already.
        assumed: nobody said how images become this model's input; `preprocess` is a guess.
        notes: how weights and labels were found, and what was left out, a sentence each.
        pictures: an .npz of pictures that belong to the weights, u8[n, H, W, C], for calibration.
    """

    name: str
    module: "nn.Module | None" = field(repr=False)
    graph: "ir.Model | None" = field(repr=False)
    input_shape: tuple[int, int, int, int]
    preprocess: Preprocess
    weights: str
    weights_sha256: str
    outputs: tuple[OutputSpec, ...]
    labels: tuple[str, ...] = ()
    quantized: bool = False
    assumed: bool = False
    notes: tuple[str, ...] = ()
    pictures: Path | None = None

    @property
    def assumption(self) -> str:
        """What was assumed of the images, in a sentence; empty where somebody said how they become the input."""
        if not self.assumed:
            return ""
        return f"{fed(self.preprocess)}: nobody said so; {' '.join(PREPROCESS_OPTIONS)} say it"

    @property
    def scores(self) -> OutputSpec | None:
        """The output that holds the scores of classes; None where there are no classes."""
        return next((output for output in self.outputs if output.meaning == "scores"), None)

    @property
    def classes(self) -> int | None:
        """How many; None where there are none."""
        return self.scores.classes if self.scores else None


def resolve(recipe: Recipe, progress: Step | None = None, given: "InMemory | None" = None) -> Source:
    """The model that a recipe names, or the module that is given beside it, checked.

    Errors:
        EK101 unknown name; EK102 unreadable file; EK103 weights that do not fit; EK104 no weights chosen;
        EK105 failed download; EK106 an option that cannot be combined; EK107 the user's Python file; EK109 labels;
        EK201 to EK204 graphs and input sizes; EK701 a library that is not installed.
    """
    if given is None:
        check_named_files(recipe)
    from edgekit.source.reference import one_thread  # torch is loaded when a model is, not when it is named

    resolver = import_module(f"edgekit.source.{source_kind(recipe.model) if given is None else 'in_memory'}")
    with one_thread():
        source: Source = resolver.resolve(recipe, progress if given is None else given)
    refuse_empty(source, recipe.model)
    if labels := _labels(recipe, source):
        return replace(source, labels=labels)
    return _with_folders_as_labels(recipe, source)


def refuse_empty(source: Source, where: str) -> None:
    """EK203 where an output holds no number: there is nothing to prove."""
    empty = [output for output in source.outputs if 0 in output.shape]
    if empty:
        size = "x".join(map(str, source.input_shape))
        raise EdgekitError(
            "EK203",
            what=f"output {empty[0].name} is empty for an input of {size}: {'x'.join(map(str, empty[0].shape))}",
            where=where,
            fix="choose a size that the model was made for with --input-size HxW, or leave the output out",
        )


def source_kind(model: str) -> str:
    """The module of this package that resolves `model`; a file of a kind that holds no model is EK106."""
    suffix = Path(model).suffix.lower()
    if is_compressed(model):
        return "compressed"
    if model.startswith(("timm:", "torchvision:")):
        return "libraries"
    if is_run(model):
        return "run_folder"
    if suffix == ".onnx":
        return "onnx_file"
    if suffix == ".pt2":
        return "exported_program"
    if re.search(r"\.py(:|$)", model):
        return "python_file"
    if suffix in SCRIPT_SUFFIXES or (suffix in CHECKPOINT_SUFFIXES and os.path.isfile(model)):
        return "torchscript"
    if suffix in CHECKPOINT_SUFFIXES:
        raise EdgekitError(
            "EK106",
            what=f"{model} is a checkpoint: it holds weights, not a model",
            where="model",
            fix=f"name the model too: edgekit export MODEL --weights {model}",
        )
    if made_for := [runtime.title for runtime in runtimes() if suffix == f".{runtime.suffix}"]:
        raise EdgekitError(
            "EK106",
            what=f"{model} is a finished file of {made_for[0]}",
            where="model",
            fix="start from the PyTorch model or an .onnx file",
        )
    return "zoo"


def is_compressed(model: str | Path) -> bool:
    """Whether a path is a folder that `edgekit compress` may have left: a manifest beside a network.onnx."""
    folder = Path(model)
    try:
        return folder.is_dir() and (folder / "manifest.json").is_file() and (folder / "network.onnx").is_file()
    except (OSError, ValueError):
        return False


def is_run(folder: str | Path) -> bool:
    """Whether it is a folder of `edgekit train`, finished or not."""
    try:
        return any(os.path.isfile(os.path.join(folder, name)) for name in RUN_FILES)
    except ValueError:  # a zero byte
        return False


def fed(preprocess: Preprocess) -> str:
    """`resize 256, crop 224x224, RGB, mean 0.5 0.5 0.5, std ...`: the preprocessing in one line."""
    mean, std = (" ".join(f"{value:.6g}" for value in values) for values in (preprocess.mean, preprocess.std))
    order = {1: "grey", 3: preprocess.channel_order}.get(len(preprocess.mean), f"{len(preprocess.mean)} channels")
    size = "x".join(map(str, preprocess.crop))
    return f"resize {preprocess.resize} {preprocess.interpolation}, crop {size}, {order}, mean {mean}, std {std}"


def bundle_name(text: str) -> str:
    """`text` as the name of a folder: letters, digits, dot, dash, underscore."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "model"


def _with_folders_as_labels(recipe: Recipe, source: Source) -> Source:
    """The names of class folders as labels, where there are as many as classes."""
    for location in (recipe.eval, recipe.calibration):
        folders = _class_folders(location)
        if len(folders) == source.classes:
            told = f"labels are the names of the {len(folders)} class folders of {Path(str(location)).name}"
            return replace(source, labels=folders, notes=(*source.notes, told))
    return source


def _class_folders(location: str | None) -> tuple[str, ...]:
    """Names of the class folders of images; none where there are none, or where the images are found missing later."""
    if location in (None, "distill"):
        return ()
    try:
        folders = ImageFolder.open(str(location)).classes
    except EdgekitError:
        return ()
    last = tuple(folder.rpartition("/")[2] for folder in folders)
    return last if len(set(last)) == len(folders) else folders


def _labels(recipe: Recipe, source: Source) -> tuple[str, ...]:
    if recipe.labels is None:
        return source.labels or label_names(source.preprocess.labels)
    names = read_labels(recipe.labels).names
    if source.classes is not None and len(names) != source.classes:
        raise EdgekitError(
            "EK109",
            what=f"{len(names)} labels for a model with {source.classes} classes",
            where=str(recipe.labels),
            fix="one class name per line: line i is class i",
        )
    return names
