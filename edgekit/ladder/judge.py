"""What rungs of the ladder are measured on, and what was asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.errors import EdgekitError
from edgekit.graph.outputs import concatenate
from edgekit.graph.runner import GraphRunner
from edgekit.images.folder import ImageFolder
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess
from edgekit.source import Source
from edgekit.target import FloatArray, Outputs
from edgekit.verify.evaluate import Selection, labelled_images
from edgekit.verify.parity import top1

BATCH = 16  # images decoded at a time


@dataclass(frozen=True, slots=True)
class Judge:
    """The images that rungs are compared on.

    Args:
        folder, labels: labelled images and their classes, i64[n]; None: `images`, f32[n, C, H, W], without labels.
        reference: of the float graph on them.
        scores: which output holds the scores of classes; None where none does.
    """

    description: str
    reference: Outputs = field(repr=False)
    scores: str | None = None
    folder: ImageFolder | None = None
    feed: Preprocess | None = None
    labels: NDArray[np.int64] | None = field(default=None, repr=False)
    images: FloatArray | None = field(default=None, repr=False)

    def batches(self) -> Iterator[FloatArray]:
        """The images, f32[n, C, H, W] each."""
        if self.folder is not None and self.feed is not None:
            yield from self.folder.batches(self.feed, BATCH)
        elif self.images is not None:
            yield self.images

    def accuracy(self, outputs: Outputs) -> float | None:
        """Top-1 in percent, where there are labels."""
        if self.labels is None or self.scores is None:
            return None
        return 100 * float((top1(outputs[self.scores]) == self.labels).mean())


def demand_of(recipe: Recipe) -> str:
    """What was asked for, in words; empty where nothing was."""
    parts = (
        (recipe.max_drop, "at most {:g} points lost"),
        (recipe.min_sqnr, "SQNR of at least {:g} dB"),
        (recipe.min_agreement, "at least {:g} % of classes the same"),
    )
    return ", ".join(text.format(value) for value, text in parts if value is not None)


def labelled_judge(
    graph: ir.Model, source: Source, feed: Preprocess, recipe: Recipe, used: ImageFolder | None
) -> Judge:
    """The labelled images of `--eval` without those that calibration used.

    Args:
        graph: of floats; its outputs are the reference.
        used: the images that calibration used; None where it used none of a folder.

    Errors:
        EK108 no image is left; EK109 an image has no label.
    """
    folder, labels = labelled_images(Selection(Path(str(recipe.eval)), recipe.labels), source.labels)
    kept = folder if used is None else without(folder, used)
    if not len(kept):
        raise EdgekitError(
            "EK108",
            what="every image for evaluation is a calibration image too",
            where=str(recipe.eval),
            fix="calibrate on fewer (--samples), or on another folder",
        )
    chosen = set(kept.names)
    labels = labels[[name in chosen for name in folder.names]]
    reference = concatenate(map(GraphRunner(graph), kept.batches(feed, BATCH)))
    scores = source.scores.name if source.scores else None
    return Judge(f"{len(kept)} labelled images", reference, scores, kept, feed, labels)


def without(folder: ImageFolder, used: ImageFolder) -> ImageFolder:
    """The images of a folder whose bytes are not among those of another: evaluation without calibration images."""
    taken = set(used.hashes())
    return replace(
        folder, names=tuple(n for n, digest in zip(folder.names, folder.hashes(), strict=True) if digest not in taken)
    )
