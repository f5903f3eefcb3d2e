"""What is done with a compressed network afterwards: statistics estimated again, or weights trained further."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.progress import Step
from edgekit.source import Source
from edgekit.source.graph_module import GraphModule, with_weights_of
from edgekit.target import FloatArray
from edgekit.train.config import TrainConfig
from edgekit.train.distil import Distillation, Teacher
from edgekit.train.fine_tune import accuracy, fine_tune, load_data
from edgekit.train.task import Classification


@dataclass(frozen=True, slots=True)
class Tuned:
    """What fine-tuning came to: top-1 in percent on images that were not learned from, at each rung.

    Args:
        whole: of the model before it was compressed.
        compressed: with BatchNorm's statistics alone estimated again, where images were given for that.
        tuned: behind the training.
    """

    model: ir.Model
    whole: float
    compressed: float
    tuned: float


def tune(
    before: ir.Model,
    after: ir.Model,
    source: Source,
    location: Path,
    epochs: int,
    seed: int,
    progress: Step | None = None,
) -> Tuned:
    """Train a compressed graph on class folders, with the whole model's answers beside the labels.

    Args:
        before: the whole model, the teacher.
        location: as `edgekit train --data` takes it; a tenth of each class is kept to measure on, where it has no
            split of its own.

    Raises:
        EdgekitError: EK109 images of other classes than the model's; EK102, EK108 images that cannot be used; EK506 the
            loss is no number.
    """
    config = TrainConfig(model=source.name, data=location, epochs=epochs, weights="compressed", seed=seed)
    with tempfile.TemporaryDirectory() as scratch:
        data = load_data(config, source.preprocess, Path(scratch))
        check_classes(source, data.learned.classes, location)
        whole, module = GraphModule(before), GraphModule(after)
        first, second = accuracy(whole, data), accuracy(module, data)
        teacher = Teacher(whole.requires_grad_(False), source.preprocess, source.weights_sha256)
        task = Distillation(Classification(config.smoothing), teacher, source.preprocess)
        kept = fine_tune(module, data, config, progress, task)
        third = accuracy(kept, data)
    assert isinstance(kept, GraphModule)
    return Tuned(with_weights_of(after, kept), float(first or 0), float(second or 0), float(third or 0))


def check_classes(source: Source, classes: tuple[str, ...], location: Path) -> None:
    """EK109 for images of another number of classes, or of the same in another order: neither can be told later."""
    if source.classes is not None and len(classes) != source.classes:
        what = f"the images have {len(classes)} classes, the model {source.classes}"
    elif source.labels and source.labels != classes:
        first = next((o, t) for o, t in zip(source.labels, classes, strict=True) if o != t)
        what = f"the model calls a class {first[0]!r} where the images have {first[1]!r}"
    else:
        return
    fix = "fine-tune on a folder for each class of the model, with its name"
    raise EdgekitError("EK109", what=what, where=str(location), fix=fix)


def reestimate_batch_norm(model: ir.Model, batches: Iterable[FloatArray]) -> ir.Model:
    """The graph with the means and variances that its BatchNorm layers see on images, as a new model.

    Without some of its inputs a layer's outputs are distributed otherwise; no weight is changed, and no label needed.

    Args:
        batches: f32[n, C, H, W] each, n of 2 or more.
    """
    module = GraphModule(model)
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    if not norms:
        return model
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over all batches
        norm.train()
    seen = 0
    with torch.no_grad():
        for batch in batches:
            if len(batch) > 1:
                module(torch.from_numpy(batch))
                seen += 1
    return with_weights_of(model, module) if seen else model
