"""Looks at calibration images before anything is built on them. A warning names its evidence.

What can be wrong with images is wrong silently: a blank one narrows no range, a thousand copies of one widen none, and
the wrong channel order or normalisation gives plausible ranges of the wrong numbers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgekit.images.folder import ImageFolder
from edgekit.images.preprocess import denormalize, per_channel, renormalize
from edgekit.inputs.choose import Inputs
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess
from edgekit.source import Source
from edgekit.target import FloatArray

if TYPE_CHECKING:
    from torch import nn

FEWEST = 32
"""With fewer images the extremes of activations are luck: 16 instead of 100 cost MobileNetV2 a decibel and more."""

THUMBNAIL = 9
SAME_BITS = 3
"""Two images whose difference hashes (64 bits) differ in so few are copies, crops or recompressions of one."""

BLANK = 2 / 255
"""Deviation of the pixels of an image with nothing on it."""

NOISE = 0.3
"""Correlation of neighbouring pixels below which an image is noise; photographs have 0.9 and more."""

PROBED = 8
CLOSER = 0.5
"""Another reading of the images must bring the first layers' statistics so much closer before it is mentioned."""


@dataclass(slots=True)
class Look:
    """Remembers of each image that streams by what the checks need: a thumbnail's bits, spread and correlation."""

    feed: Preprocess
    first: list[FloatArray] = field(default_factory=list)
    bits: list[NDArray[np.bool_]] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    correlation: list[float] = field(default_factory=list)
    done: bool = False

    def watch(self, batches: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """The same batches; the first pass over them is remembered."""
        for batch in batches:
            if not self.done:
                for image in batch:
                    self._remember(image)
            yield batch
        self.done = True

    def _remember(self, image: FloatArray) -> None:
        if len(self.first) < PROBED:
            self.first.append(image)
        grey = np.mean(image * per_channel(self.feed.std), axis=0)  # pixels in 0..1 but for an offset
        self.spread.append(float(grey.std()))
        flat = grey - grey.mean()
        power = float(np.square(flat).sum())
        self.correlation.append(float((flat[:, 1:] * flat[:, :-1]).sum()) / power if power > 0 else 1.0)
        rows, columns = (np.linspace(0, n, THUMBNAIL + 1).astype(int) for n in grey.shape)
        if min(grey.shape) >= THUMBNAIL:
            sums = np.add.reduceat(np.add.reduceat(grey, rows[:-1], 0), columns[:-1], 1)
            small = sums / np.outer(np.diff(rows), np.diff(columns))
            self.bits.append((small[:-1, 1:] > small[:-1, :-1]).reshape(-1))


def lint(look: Look, inputs: Inputs, recipe: Recipe, source: Source) -> tuple[str, ...]:
    """Warnings about the images, one sentence each."""
    if inputs.folder is None:
        return ()  # made from the model itself
    names = inputs.folder.names
    return tuple(
        warning
        for warning in (
            too_few(names),
            blank(look, names),
            noisy(look, names),
            near_duplicates(look, names),
            overlap(inputs.folder, recipe),
            *misread(look, source),
        )
        if warning
    )


def too_few(names: tuple[str, ...]) -> str:
    if len(names) >= FEWEST:
        return ""
    return f"only {len(names)} calibration images: ranges are luck below {FEWEST}, 100 are usual"


def blank(look: Look, names: tuple[str, ...]) -> str:
    found = [name for name, spread in zip(names, look.spread, strict=False) if spread < BLANK]
    return f"{len(found)} calibration images are blank (deviation under 2 of 255): {listed(found)}" if found else ""


def noisy(look: Look, names: tuple[str, ...]) -> str:
    both = zip(names, look.correlation, look.spread, strict=False)
    found = [name for name, correlation, spread in both if correlation < NOISE and spread >= BLANK]
    if not found:
        return ""
    return f"{len(found)} calibration images look like noise (neighbouring pixels correlate under 0.3): {listed(found)}"


def near_duplicates(look: Look, names: tuple[str, ...]) -> str:
    """Pairs of images with nearly the same difference hash."""
    if len(look.bits) != len(names):
        return ""  # too small for a thumbnail
    bits = np.array(look.bits, np.float32)
    differing = bits @ (1 - bits.T) + (1 - bits) @ bits.T
    told = np.array(look.spread) >= BLANK
    rows, columns = np.nonzero(np.triu((differing <= SAME_BITS) & told[:, None] & told[None], 1))
    if not len(rows):
        return ""
    pair = f"{names[rows[0]]} and {names[columns[0]]}"
    return f"{len(set(columns.tolist()))} calibration images repeat another one, for example {pair}"


def overlap(folder: ImageFolder, recipe: Recipe) -> str:
    """Calibration images, by hash, in the evaluation set."""
    if recipe.eval is None:
        return ""
    taken = set(ImageFolder.open(recipe.eval).hashes())
    found = [name for name, digest in zip(folder.names, folder.hashes(), strict=True) if digest in taken]
    if not found:
        return ""
    return f"{len(found)} calibration images are in the evaluation set too, and are left out of it: {listed(found)}"


def listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def misread(look: Look, source: Source) -> list[str]:
    """Readings of the images that would fit the first BatchNorm layers much better: order, range, normalisation.

    Evidence: distance (quant/distill.py) of the layers' inputs from the statistics that training left in them.
    """
    module, preprocess = source.module, source.preprocess
    if module is None or not look.first or len(preprocess.mean) != 3 or not has_statistics(module):
        return []
    images = np.stack(look.first)
    if look.feed != preprocess:
        images = renormalize(denormalize(images, look.feed), preprocess)
    own = distance(module, images)
    if own is None:
        return []
    found = {name: distance(module, given) or 0.0 for name, given in readings(images, preprocess).items()}
    best = min(found, key=lambda name: found[name])
    if found[best] > CLOSER * own:
        return []
    return [
        f"the images fit the model's first layers better as {best}: distance {found[best]:.2g} from their BatchNorm"
        f" statistics instead of {own:.2g}; check [preprocess]"
    ]


def readings(images: FloatArray, preprocess: Preprocess) -> dict[str, FloatArray]:
    """The same pixels, read otherwise."""
    pixels = denormalize(images, preprocess)
    other = "BGR" if preprocess.channel_order == "RGB" else "RGB"
    return {
        f"{other} instead of {preprocess.channel_order}": renormalize(pixels[:, ::-1], preprocess),
        "pixels in 0..1 without mean and deviation": pixels,
        "pixels in 0..255 without mean and deviation": 255 * pixels,
        "pixels in -1..1": 2 * pixels - 1,
        "normalised with ImageNet's mean and deviation": renormalize(pixels, Preprocess()),
    }


def has_statistics(module: "nn.Module") -> bool:
    from edgekit.quant.distill import statistics_layers

    return bool(statistics_layers(module))


def distance(module: "nn.Module", images: FloatArray) -> float | None:
    """Mean distance of the first BatchNorm layers' inputs from their statistics; None where none of them is used."""
    from edgekit.quant.distill import early_distance

    return early_distance(module, np.ascontiguousarray(images, np.float32))
