"""The compression of a recipe: over a graph, and as what `export --prune` does before the trace."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import onnx_ir as ir
from torch import nn

from edgekit.compress.choose import Plan
from edgekit.compress.finetune import reestimate_batch_norm
from edgekit.compress.low_rank import Ranks, lower_ranks
from edgekit.compress.opened import open_for_compression, open_module
from edgekit.compress.prune import prune
from edgekit.errors import EdgekitError
from edgekit.images.folder import ImageFolder
from edgekit.recipe import Compression, Recipe
from edgekit.source import Source
from edgekit.source.graph_module import GraphModule
from edgekit.source.prepare import Preparation
from edgekit.target import FloatArray

BATCH = 50
"""Images at once: enough for the statistics of a batch."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """What a compression came to.

    Args:
        before, after: the graph, in the form of edgekit.compress.opened.
        ranks: layer -> rank, of those that were taken apart.
    """

    before: ir.Model
    after: ir.Model
    ranks: dict[str, int]


def compress(model: ir.Model, how: Compression, images: Iterable[FloatArray] = ()) -> Compressed:
    """Prune, estimate BatchNorm's statistics again where there are images, then lower the ranks.

    Args:
        model: as it was traced.
        images: batches f32[n, C, H, W].

    Raises:
        EdgekitError: EK106 for ratios and ranks that do not fit; EK302 where nothing can be taken out.
    """
    batches = list(images)
    before = after = open_for_compression(model)
    ranks: dict[str, int] = {}
    if how.prunes:
        plan = Plan(how.prune or 0.0, how.layers, how.everywhere, how.round_to)
        again = (lambda graph: reestimate_batch_norm(graph, batches)) if batches else None
        after = prune(after, plan, how.criterion, batches, how.steps, again)
        after = reestimate_batch_norm(after, batches)
    if how.lowers_ranks:
        wanted = Ranks(how.low_rank, how.budget, how.layer_sqnr, how.ranks, how.kernels)
        after, ranks = lower_ranks(after, wanted, batches, whiten=how.whiten)
    return Compressed(before, after, ranks)


def preparation_of(recipe: Recipe, source: Source) -> Preparation:
    """A recipe's compression as a change of the module; on real calibration images it sees what the layers give."""
    how = recipe.compress
    assert how is not None

    def prepare(module: nn.Module) -> nn.Module:
        folder = recipe.calibration if recipe.calibration != "distill" else None
        images = images_of(folder, recipe.samples, source)
        traced = open_module(module, source.input_shape)
        return GraphModule(compress(traced, how, images).after)

    return Preparation(how.name, prepare)


def images_of(location: str | None, samples: int, source: Source) -> list[FloatArray]:
    """Batches of images as the model is fed them; none where no folder is named."""
    if location is None:
        return []
    folder = ImageFolder.open(location).select(samples)
    return list(islice(folder.batches(source.preprocess, BATCH), None))


def traced_of(source: Source) -> ir.Model:
    """The source's graph; EK302 for one that is quantized."""
    if source.module is not None:
        return open_module(source.module, source.input_shape)
    if source.graph is None or source.quantized:
        raise EdgekitError(
            "EK302",
            what="a quantized graph holds integers; filters are taken out of real weights",
            where=source.name,
            fix="start from the float model",
        )
    return source.graph
