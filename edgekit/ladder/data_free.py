"""How close calibration without data comes to real images: one method calibrated on both, measured on others."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from edgekit.graph.outputs import take
from edgekit.images.folder import ImageFolder
from edgekit.ladder.climb import Ladder, Receipt
from edgekit.ladder.judge import BATCH, Judge
from edgekit.quant.quantizer import Quantized, Quantizer
from edgekit.recipe import Recipe
from edgekit.target import Target

MOST_REAL = 100
"""Real images to calibrate on, and never more than half of what there is."""


@dataclass(frozen=True, slots=True)
class DataFree:
    """Distilled images against real ones.

    Args:
        receipt: a line for each, on the labelled images that neither was calibrated on.
        widths: how wide the activations' ranges are on real images over how wide on distilled ones: the 5th percentile,
            the median and the 95th percentile over all values.
    """

    receipt: Receipt
    widths: tuple[float, float, float]


def compare_with_real(
    recipe: Recipe, target: Target, judge: Judge, quantizer: Quantizer, found: Quantized
) -> DataFree | None:
    """Calibrate on some of the judge's images instead and measure both on the rest; None without labelled images, or
    where no activation varies and there is nothing to compare.

    Args:
        quantizer: calibrated on images that were made; `found` is what it made for this target.
    """
    if judge.folder is None or judge.feed is None or judge.labels is None or len(judge.folder) < 2:
        return None
    real, rest = split(judge, min(MOST_REAL, len(judge.folder) // 2))
    images = partial(real.batches, judge.feed, BATCH)
    on_real = Quantizer(quantizer.model, images, keep_float=quantizer.keep_float, tune=quantizer.tune)
    widths = compare_widths(quantizer, on_real)
    if widths is None:
        return None
    ladder = Ladder(recipe, quantizer, target, rest)
    ladder.measure("distilled images", found)
    ladder.measure(f"{len(real)} real images", on_real.quantize(found.method, target.scheme))
    return DataFree(ladder.receipt("none"), widths)


def split(judge: Judge, count: int) -> tuple[ImageFolder, Judge]:
    """`count` of a judge's images, spread over all of them, and a judge on the others."""
    assert judge.folder is not None
    assert judge.labels is not None
    taken = judge.folder.select(count)
    names = set(taken.names)
    kept = np.array([name not in names for name in judge.folder.names])
    others = replace(judge.folder, names=tuple(name for name in judge.folder.names if name not in names))
    description = f"{len(others)} labelled images"
    return taken, replace(
        judge, description=description, folder=others, reference=take(judge.reference, kept), labels=judge.labels[kept]
    )


def compare_widths(distilled: Quantizer, real: Quantizer) -> tuple[float, float, float] | None:
    """`DataFree.widths` of two quantizers of one graph; None where no activation varies."""
    made, seen = distilled.plain().ranges, real.plain().ranges
    ratios = [
        (seen[name].max - seen[name].min) / (made[name].max - made[name].min)
        for name in made
        if name in seen and made[name].max > made[name].min
    ]
    if not ratios:
        return None
    low, middle, high = np.quantile(ratios, [0.05, 0.5, 0.95])
    return float(low), float(middle), float(high)
