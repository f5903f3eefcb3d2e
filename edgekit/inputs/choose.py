"""Which images an export calibrates on and compares on, and what the report may call them."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.resources import files

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.images.folder import ImageFolder
from edgekit.images.preprocess import denormalize, normalize, renormalize
from edgekit.progress import Step
from edgekit.recipe import Recipe
from edgekit.registry import Preprocess
from edgekit.source import Source
from edgekit.target import FloatArray

BATCH = 16  # images decoded at a time: bounds memory, not results
# No BatchNorm layer lies behind the outputs, so distilled images say nothing of how far they go: MobileNetV2's end at
# 12.0, those of photographs at 29.8, and three quarters of the classes were lost to saturation. Agreement on 250
# photographs for a factor of 1, 1.5, 2, 3: 23 %, 84 %, 95 %, 97 %.
DISTILLED_HEADROOM = 3.0
UNSEEN_IMAGES = 128  # of 400 images a net kept 95 % of its classes: of 32 of them 78 %, of 64 83 %, of 128 91 %
UNSEEN_SIDE = 300  # pixels; larger images cost more than the rest of the export
UNSEEN_WITHOUT_CLASSES = 16  # an SQNR needs fewer, and such outputs are large
PARITY_IMAGES = 32  # enough to tell 97 % agreement from 100 %, little enough to cost a second


@dataclass(frozen=True, slots=True)
class Inputs:
    """Images ready for the model's input.

    Args:
        description: what they are, in words for the report.
        sha256: of the folder or archive they came from, of the array where they were made.
        count: how many images.
        batches: called once per pass over them; yields f32[n, C, H, W], normalised.
        folder: where they were read from; None for images that were made.
        output_headroom: how much further than on these images the model's outputs may go on real ones.
    """

    description: str
    sha256: str
    count: int
    batches: Callable[[], Iterator[FloatArray]] = field(repr=False)
    folder: ImageFolder | None = field(default=None, repr=False)
    output_headroom: float = 1.0

    def load(self) -> FloatArray:
        """All of them at once, f32[count, C, H, W]."""
        return np.concatenate(list(self.batches()))

    def decoded(self) -> "Inputs":
        """The same, held in memory: several passes decode them once."""
        held = list(self.batches())
        return replace(self, batches=lambda: iter(held))


def calibration_inputs(recipe: Recipe, source: Source, feed: Preprocess, progress: Step | None = None) -> Inputs:
    """The images that decide the ranges: a named folder, the ones shipped with bundled weights, or distilled ones.

    Args:
        progress: called with (steps done, steps in all) while images are distilled.
    """
    if recipe.calibration not in (None, "distill"):
        return _folder(str(recipe.calibration), recipe.samples, feed, "calibration images")
    shipped = None if recipe.calibration else _shipped(source, feed, recipe.samples)
    return shipped or _distilled(recipe, source, feed, progress)


def parity_inputs(recipe: Recipe, source: Source, feed: Preprocess, calibration: Inputs | None) -> Inputs:
    """What every hop is compared on: real images where the user or the weights brought some, otherwise noise.

    Noise has the same mean and deviation as normalised photographs, but a gate passed on it says less;
    the report therefore repeats the description.
    """
    if recipe.calibration not in (None, "distill"):
        calibrated = ImageFolder.open(str(recipe.calibration)).select(recipe.samples)
        return _from_folder(calibrated.select(PARITY_IMAGES), feed, "calibration images")
    if calibration is not None:
        # All of them: distilled images lie close to the borders between classes, where a few say little.
        return _from_array(calibration.load(), calibration.description)
    return _shipped(source, feed, PARITY_IMAGES) or _noise(recipe.seed, source, feed)


def unseen_inputs(recipe: Recipe, source: Source, feed: Preprocess, calibration: Inputs | None) -> Inputs | None:
    """What a file is compared with the module on, end to end: images of the folder that calibration did not take.

    A figure on those that decided the ranges flatters. Every other hop is a question of arithmetic, not of images.

    Returns:
        None where nothing was calibrated on a folder, where too few of its images are left, and for classifiers of
        images of more than UNSEEN_SIDE squared pixels.
    """
    if calibration is None or calibration.folder is None:
        return None
    taken = set(calibration.folder.names)
    everything = ImageFolder.open(str(recipe.calibration))
    others = replace(everything, names=tuple(name for name in everything.names if name not in taken))
    enough = UNSEEN_IMAGES if source.scores is not None else UNSEEN_WITHOUT_CLASSES
    height, width = source.input_shape[2:]
    if len(others) < enough or (source.scores is not None and height * width > UNSEEN_SIDE**2):
        return None
    return _from_folder(others.select(enough), feed, "images that calibration did not see")


def _folder(location: str, samples: int, feed: Preprocess, description: str) -> Inputs:
    return _from_folder(ImageFolder.open(location).select(samples), feed, description)


def _from_folder(folder: ImageFolder, feed: Preprocess, description: str) -> Inputs:
    return Inputs(description, folder.sha256(), len(folder.names), lambda: iter(folder.batches(feed, BATCH)), folder)


def _from_array(images: FloatArray, description: str) -> Inputs:
    digest = hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()
    return Inputs(description, digest, len(images), lambda: iter([images]))


def _shipped(source: Source, feed: Preprocess, samples: int) -> Inputs | None:
    """The pictures that belong to the weights, if they fit this input size: distilled ones of bundled weights, training
    pictures of a run."""
    bundled = (
        files("edgekit.models.weights") / f"{source.name}.calibration.npz" if source.weights == "bundled" else None
    )
    file = source.pictures or bundled
    if file is None or not file.is_file():
        return None
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        pixels = archive[archive.files[0]][:samples]
    if pixels.shape[1:3] != feed.crop:
        return None
    ordered = pixels if feed.channel_order == "RGB" else pixels[..., ::-1]
    what = "training pictures kept with the run" if source.pictures else "distilled images shipped with the weights"
    return _from_array(normalize(ordered.transpose(0, 3, 1, 2), feed), what)


def _distilled(recipe: Recipe, source: Source, feed: Preprocess, progress: Step | None) -> Inputs:
    if source.module is None:
        raise EdgekitError(
            "EK402",
            what="an ONNX file cannot be distilled for calibration",
            where=source.name,
            fix="name real images: --calibration DIR",
        )
    from edgekit.quant.distill import distill  # loads torch's autograd: only where images must be made
    from edgekit.source.reference import one_thread

    with one_thread():  # the order of additions, and with it the images, would depend on how many there are
        images = distill(source.module, source.input_shape, source.preprocess, recipe.samples, recipe.seed, progress)
    made = _from_array(as_fed(images, source.preprocess, feed), "distilled images (made from BatchNorm statistics)")
    return replace(made, output_headroom=DISTILLED_HEADROOM)


def _noise(seed: int, source: Source, feed: Preprocess) -> Inputs:
    shape = (PARITY_IMAGES // 2, *source.input_shape[1:])
    images = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return _from_array(as_fed(images, source.preprocess, feed), "images of seeded noise (none were given)")


def as_fed(images: FloatArray, normalised_by: Preprocess, feed: Preprocess) -> FloatArray:
    """Images normalised for the module -> what the exported graph is fed; they differ when normalisation is folded."""
    if normalised_by == feed:
        return images
    pixels = np.clip(denormalize(images, normalised_by), 0, 1)
    return np.ascontiguousarray(renormalize(pixels, feed), dtype=np.float32)
