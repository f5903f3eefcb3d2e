"""One registry class, and what is registered: models, targets.

`models/` and `targets/` import only this module from the pipeline, so a family of models or a target can be read, and
added, without knowing the rest.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from edgekit.errors import EdgekitError, did_you_mean

if TYPE_CHECKING:
    from torch import nn


T = TypeVar("T")


class Registry(Generic[T]):
    """Named things of one kind, found by walking a package and its entry-point group.

    Args:
        kind: the word that error messages use ("model", "target").
        package: the package whose modules register themselves on import.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self._items: dict[str, T] = {}
        self._owners: dict[str, str] = {}
        self._discovered = False

    def add(self, name: str, item: T, owner: str) -> None:
        """Register `item`. A name that exists already is an error that names both modules."""
        if name in self._items:
            raise ValueError(f"{self.kind} {name!r} is registered by {self._owners[name]} and by {owner}")
        self._items[name], self._owners[name] = item, owner

    def get(self, name: str) -> T:
        """The item of that name, or EK101 with the nearest names."""
        self._discover()
        if name not in self._items:
            fix = did_you_mean(name, sorted(self._items), f"list them with: edgekit {self.kind}s")
            raise EdgekitError("EK101", what=f"unknown {self.kind} {name!r}", where=self.kind, fix=fix)
        return self._items[name]

    def names(self) -> list[str]:
        self._discover()
        return sorted(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter([self.get(name) for name in self.names()])

    def __contains__(self, name: str) -> bool:
        self._discover()
        return name in self._items

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True  # before importing: a module may look up another's entry
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__, prefix=f"{self.package}."):
            if not module.name.rpartition(".")[2].startswith("_"):
                importlib.import_module(module.name)
        for entry in entry_points(group=self.package):
            entry.load()


@dataclass(frozen=True, slots=True)
class Preprocess:
    """From an image file to the model's input, f32[3, crop H, crop W].

    Resize the shorter side to `resize` pixels (antialiased, half-pixel centres: Pillow's resampling), cut the centre
    `crop`, scale to [0, 1], subtract `mean`, divide by `std`. It belongs to a weights file, not to an architecture.

    Args:
        resize: shorter side in pixels.
        crop: (height, width) in pixels.
        mean, std: per channel in `channel_order`, in units of [0, 1].
        labels: name of the label set ("imagenet1k", "cifar10"), or None.
    """

    resize: int = 256
    crop: tuple[int, int] = (224, 224)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    channel_order: Literal["RGB", "BGR"] = "RGB"
    labels: str | None = "imagenet1k"

    def at(self, height: int, width: int) -> "Preprocess":
        """The same steps for another input size; the margin around the crop keeps its proportion."""
        if (height, width) == self.crop:
            return self
        margin = self.resize / min(self.crop)
        return replace(self, resize=round(min(height, width) * margin), crop=(height, width))


@dataclass(frozen=True, slots=True)
class Weights:
    """One published (or bundled) checkpoint of a model.

    Args:
        name: as `--weights` takes it: "bundled", "imagenet", or a further one where there are several.
        location: URL of the official file, or a file name in models/weights/ when bundled.
        sha256: the file's SHA-256, or the first hex digits that its publisher gives.
        preprocess: what to feed it.
        num_classes: rows of its classifier.
        top1: published top-1 accuracy in percent on `dataset`.
        source: where the accuracy is stated.
    """

    name: str
    location: str
    sha256: str
    preprocess: Preprocess
    num_classes: int = 1000
    top1: float | None = None
    dataset: str = "ImageNet-1k"
    source: str = ""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model of the zoo. Declared parameters and MACs are the oracle of its tests.

    Args:
        name: as the command line takes it; also the builder's function name.
        build: `build(num_classes=1000, **options) -> nn.Module`; ValueError for an option's impossible value. Where an
            option chooses a resolution, the module has it as `input_size`, (height, width).
        input_shape: (channels, height, width) of the reference.
        params: learnable parameters at 1000 classes (or the reference's class count).
        macs: multiply-accumulates of Conv, Linear and MatMul at `input_shape`, batch 1.
        paper: arXiv identifier or DOI.
        reference: `library/id` of the implementation it equals ("torchvision/mobilenet_v2").
        weights: known checkpoints, best first.
        min_input: smallest height and width in pixels for which every feature map is non-empty.
    """

    name: str
    build: "Callable[..., nn.Module]"
    input_shape: tuple[int, int, int]
    params: int
    macs: int
    paper: str
    reference: str
    weights: tuple[Weights, ...] = ()
    num_classes: int = 1000
    min_input: int = 1

    def find_weights(self, name: str) -> Weights | None:
        return next((w for w in self.weights if w.name == name), None)


models: Registry[ModelSpec] = Registry("model", "edgekit.models")


def register_model(**declared: Any) -> "Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]":
    """Register the decorated builder under its own name; keywords are ModelSpec's fields."""

    def decorate(build: "Callable[..., nn.Module]") -> "Callable[..., nn.Module]":
        spec = ModelSpec(name=build.__name__, build=build, **{"input_shape": (3, 224, 224), **declared})
        models.add(spec.name, spec, build.__module__)
        return build

    return decorate
