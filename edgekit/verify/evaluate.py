"""`edgekit eval`: a bundle's file, or a model, on labelled images."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.files import Bundle
from edgekit.errors import EdgekitError
from edgekit.graph.runner import GraphRunner
from edgekit.images.folder import ImageFolder
from edgekit.images.labels import Labels, read_labels
from edgekit.progress import Step
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess
from edgekit.source import Source, resolve
from edgekit.source.outputs import OutputSpec
from edgekit.source.reference import module_outputs
from edgekit.target import FloatArray, Outputs, TensorInfo, targets
from edgekit.verify.accuracy import Accuracy, accuracy, rank_of_label

if TYPE_CHECKING:
    from edgekit.source.in_memory import InMemory

BATCH = 16  # images decoded at a time


@dataclass(frozen=True, slots=True)
class Selection:
    """Which labelled images to evaluate on.

    Args:
        labels: a file of class names; None: class folders, or the model's own names.
        limit: at most so many images, spread evenly.
        subset: "odd" or "even" places of the sorted names, so that calibration can use the other half.
    """

    data: Path
    labels: Path | None = None
    limit: int | None = None
    subset: Literal["odd", "even"] | None = None

    def __post_init__(self) -> None:
        if self.subset not in (None, "odd", "even"):
            fix = "'odd' or 'even'"
            raise EdgekitError("EK106", what=f"{self.subset!r} is no half of the images", where="subset", fix=fix)
        if self.limit is not None and self.limit < 1:
            raise EdgekitError("EK106", what=f"{self.limit} images are none", where="limit", fix="1 or more")


def evaluate_bundle(bundle: Bundle, selection: Selection, progress: Step | None = None) -> Accuracy:
    """Run the bundle's file on the host, fed as its contract says."""
    runner = targets.get(bundle.target).run(bundle.model_file)
    scores = scores_of(bundle.scores, str(bundle.path))
    return evaluate(lambda images: runner(images)[scores], bundle.preprocess, bundle.labels, selection, progress)


def evaluate_model(
    recipe: Recipe, selection: Selection, progress: Step | None = None, given: "InMemory | None" = None
) -> Accuracy:
    """Run the float model: the PyTorch module, or the ONNX graph as it is.

    Args:
        given: the module itself; the recipe then has its name.
    """
    source = resolve(recipe, given=given)
    scores = scores_of(source.scores, recipe.model)
    run = float_outputs(source)
    return evaluate(lambda images: run(images)[scores], source.preprocess, source.labels, selection, progress)


def float_outputs(source: Source) -> Callable[[FloatArray], Outputs]:
    """The source as it is, as a function of images."""
    if source.module is not None:
        return partial(module_outputs, source.module)
    if source.graph is None:
        raise ValueError(f"source {source.name} holds neither a module nor a graph")
    return GraphRunner(source.graph)


def scores_of(output: OutputSpec | TensorInfo | None, where: str) -> str:
    """Name of the output that holds the scores of classes, or EK109."""
    if output is None:
        raise EdgekitError(
            "EK109",
            what="the model has no classes: none of its outputs is [1, classes]",
            where=where,
            fix="accuracy is of classifiers; compare other models by their outputs: edgekit verify",
        )
    return output.name


def evaluate(
    run: Callable[[FloatArray], FloatArray],
    preprocess: Preprocess,
    class_names: tuple[str, ...],
    selection: Selection,
    progress: Step | None = None,
) -> Accuracy:
    """Accuracy of `run`, f32[n, C, H, W] -> scores, f32[n, classes]; `progress` hears (images done, images in all)."""
    folder, labels = labelled_images(selection, class_names)
    ranks: list[NDArray[np.int64]] = []
    seen = 0
    for batch in folder.batches(preprocess, BATCH):
        scores = run(batch)
        scores = scores.reshape(len(scores), -1)
        expected = labels[seen : seen + len(batch)]
        if expected.max() >= scores.shape[1]:
            raise EdgekitError(
                "EK109",
                what=f"the images have class {expected.max()}, the model only {scores.shape[1]} classes",
                where=str(selection.data),
                fix="use images of the model's own classes",
            )
        ranks.append(rank_of_label(scores, expected))
        seen += len(batch)
        if progress is not None:
            progress(seen, len(labels))
    return accuracy(np.concatenate(ranks))


def labelled_images(selection: Selection, class_names: tuple[str, ...]) -> tuple[ImageFolder, NDArray[np.int64]]:
    """The chosen images and the class index of each, i64[n]. Indices are fixed before images are left out."""
    folder = ImageFolder.open(selection.data)
    names = read_labels(selection.labels) if selection.labels else Labels(class_names)
    by_name = dict(zip(folder.names, class_indices(folder, names, named=selection.labels is not None), strict=True))
    if selection.subset:
        folder = folder[1::2] if selection.subset == "odd" else folder[0::2]
    if selection.limit:
        folder = folder.select(selection.limit)
    if not folder.names:
        raise EdgekitError(
            "EK108",
            what=f"no image is left in the {selection.subset} half",
            where=str(selection.data),
            fix="give two images or more, or leave --subset out",
        )
    return folder, np.array([by_name[name] for name in folder.names], dtype=np.int64)


def class_indices(folder: ImageFolder, names: Labels, *, named: bool) -> list[int]:
    """Class index of every image.

    Class folders go by the class names where all folders are among them, else by alphabetical order, which must then
    have a folder for every class. Flat files need a
    labels file: WordNet ids are looked up in the file names; otherwise there is one line per image, in sorted order.

    Args:
        named: `names` came from a file the user gave, so they must be used.
    """
    known = {key: index for keys in (names.names, names.wordnet_ids) for index, key in enumerate(keys)}
    if len(folder.classes) >= 2:
        if all(name in known for name in folder.classes):
            return [known[str(PurePosixPath(name).parent)] for name in folder.names]
        if named or (names.names and len(folder.classes) != len(names.names)):
            unknown = next(name for name in folder.classes if name not in known)
            raise _no_label(folder, f"class folder {unknown!r} is not among the {len(names.names)} class names")
        return list(folder.labels())
    if not named:
        return list(folder.labels())  # EK109, which says what to do
    if names.wordnet_ids:
        prefixes = [PurePosixPath(name).name.split("_")[0].split(".")[0] for name in folder.names]
        if all(prefix in known for prefix in prefixes):
            return [known[prefix] for prefix in prefixes]
    if len(folder) == len(names.names):
        return list(range(len(folder)))
    raise _no_label(folder, f"{len(folder)} images cannot be matched with {len(names.names)} labels")


def _no_label(folder: ImageFolder, what: str) -> EdgekitError:
    return EdgekitError(
        "EK109",
        what=what,
        where=str(folder.location),
        fix="class folders named as in the labels file, or file names that start with their WordNet id",
    )
