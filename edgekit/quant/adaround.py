"""AdaRound: weights rounded so that the layer's output, not each weight, loses least.

The output error of a layer under rounded weights Q, for centred operands x with second moments H = E[x x^T], is

    E |(Q - W) x|^2 = sum over output channels of (q - w) H (q - w)^T

a quadratic form over integers: rounding one weight up makes good what rounding its neighbour down did. It is searched
by coordinate descent: each weight in turn takes the integer that is best given all others, up or down by as many steps
as that needs. Every change lowers the error, and a few sweeps end it. It starts twice, from the nearest integers and
from integers whose error is handed on to the weights that are not rounded yet (Frantar et al. 2022, arXiv:2210.17323),
and keeps the better end for each channel. H is summed up while calibration images stream by.

Source: Nagel et al. 2020, arXiv:2004.10568, sections 3.1 and 3.2: this is their per-layer objective, before they relax
it to follow its gradient. Without the relaxation nothing has to be trained: MobileNetV2 takes seconds, not hours. The
mean error, which centring leaves out, is bias correction's.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.progress import Step
from edgekit.quant.calibrate import observing_session, stream_maps
from edgekit.quant.layers import ConstantLayer, constant_layers
from edgekit.quant.plan import Plan
from edgekit.quant.weights import LARGEST_STORED, QuantizedWeight, weight_scale

FloatArray = NDArray[np.float32]
Doubles = NDArray[np.float64]

SWEEPS = 4
# Columns that are searched before the others hear of it: one matrix product instead of that many rank-one updates.
BLOCK = 64
# Output positions of one image that enter the moments, spread over the map.
POSITIONS = 64
# Added to the diagonal of H, as a share of its mean: 100 images do not span a late layer's operands.
RIDGE = 0.01
LEAST_VARIANCE = 1e-12
# Layers with more weights per output channel are rounded to nearest: H alone would be over 20 MB.
MOST_COLUMNS = 2304
# With few weights a channel, another scale can fit better than the one that just holds the largest weight.
FEW_COLUMNS = 32
SCALES = (1.0, 0.97, 0.94, 0.91, 0.88)


@dataclass(slots=True)
class Moments:
    """Sums over the sampled operands of one layer, per group: rows, f64[G, K] and f64[G, K, K].

    Operands wait until there are as many rows as columns: one product of them takes a third of the time of many.
    """

    rows: int
    first: Doubles
    second: Doubles
    _waiting: list[FloatArray] = field(default_factory=list, repr=False)

    @classmethod
    def empty(cls, layer: ConstantLayer) -> "Moments":
        groups, columns = layer.groups, layer.columns
        return cls(0, np.zeros((groups, columns)), np.zeros((groups, columns, columns)))

    def observe(self, operands: FloatArray) -> None:
        """Take in f32[G, rows, K]."""
        self._waiting.append(operands)
        if sum(waiting.shape[1] for waiting in self._waiting) >= operands.shape[2]:
            self._add()

    def _add(self) -> None:
        if self._waiting:
            operands = np.concatenate(self._waiting, axis=1)
            self._waiting.clear()
            self.rows += operands.shape[1]
            self.first += operands.sum(axis=1, dtype=np.float64)
            self.second += operands.transpose(0, 2, 1) @ operands

    def centred(self) -> FloatArray:
        """H, f32[G, K, K], with RIDGE on its diagonal."""
        self._add()
        mean = self.first / self.rows
        found = self.second / self.rows - mean[:, :, None] * mean[:, None, :]
        size = np.trace(found, axis1=1, axis2=2) / found.shape[1]
        found += np.maximum(RIDGE * size, LEAST_VARIANCE)[:, None, None] * np.eye(found.shape[1])
        result: FloatArray = found.astype(np.float32)
        return result


def observe_moments(model: ir.Model, plan: Plan, batches: Iterable[FloatArray]) -> dict[str, Moments]:
    """Layer name -> moments of its operand in the float network, for every layer that can be searched."""
    layers = [layer for layer in constant_layers(model, plan) if layer.columns <= MOST_COLUMNS]
    moments = {layer.name: Moments.empty(layer) for layer in layers}
    operands = list(dict.fromkeys(layer.operand for layer in layers))
    for maps in stream_maps(observing_session(model, operands), batches):
        seen = dict(zip(operands, maps, strict=True))
        for layer in layers:
            moments[layer.name].observe(layer.unfold(seen[layer.operand], POSITIONS))
    return moments


def round_layers(
    layers: Iterable[ConstantLayer],
    moments: dict[str, Moments],
    input_scales: dict[str, float],
    budget_s: float = float("inf"),
    progress: Step | None = None,
) -> dict[str, QuantizedWeight]:
    """Layer name -> weights rounded together; a layer is missing when the time was over before it, or without moments.

    Args:
        input_scales: layer name -> scale of its stored operand.
        budget_s: CPU seconds of this process; layers are searched in graph order until they are spent.
        progress: told (layers done, layers in all).
    """
    start, rounded = time.process_time(), {}
    chosen = [layer for layer in layers if layer.name in moments]
    for index, layer in enumerate(chosen):
        if time.process_time() - start > budget_s:
            break
        rounded[layer.name] = round_layer(layer, moments[layer.name], input_scales[layer.name])
        if progress is not None:
            progress(index + 1, len(chosen))
    return rounded


def round_layer(layer: ConstantLayer, moments: Moments, input_scale: float) -> QuantizedWeight:
    """The layer's weights rounded for its output; never worse on the moments than rounding to nearest."""
    second = moments.centred()
    try:
        return round_for(layer, second, input_scale)
    except np.linalg.LinAlgError:
        return round_for(layer, without_noise(second), input_scale)


def without_noise(second: FloatArray) -> FloatArray:
    """H of groups that have no inverse without what is beside its diagonal: there, nearest is best.

    Operands that are nearly constant leave no more than rounding errors of float32 in it, even variances below zero.
    """
    found = second.copy()
    for index, group in enumerate(second):
        try:
            factor(group[None])
        except np.linalg.LinAlgError:
            found[index] = np.diag(np.maximum(np.diagonal(group), LEAST_VARIANCE))
    return found


def round_for(layer: ConstantLayer, second: FloatArray, input_scale: float) -> QuantizedWeight:
    """The layer's weights rounded for H, f32[G, K, K]."""
    wanted = layer.rows
    base = weight_scale(layer.weight, layer.axis, input_scale, layer.bias).reshape(layer.groups, -1, 1)
    stored = search(second, wanted, base)
    scale = base
    if layer.columns <= FEW_COLUMNS:
        least = output_error(second, wanted, base, stored)
        for factor in SCALES[1:]:
            smaller = (base * np.float32(factor)).astype(np.float32)
            found = search(second, wanted, smaller)
            error = output_error(second, wanted, smaller, found)
            better = (error < least)[:, :, None]
            stored, scale = np.where(better, found, stored), np.where(better, smaller, scale)
            least = np.minimum(error, least)
    return QuantizedWeight(layer.fold(stored).astype(np.int8), scale.reshape(-1), layer.axis)


def search(second: FloatArray, wanted: FloatArray, scale: FloatArray) -> FloatArray:
    """Integers f32[G, O, K] of least output error: second f32[G, K, K], wanted f32[G, O, K], scale f32[G, O, 1]."""
    target = wanted / scale
    nearest = np.clip(np.rint(target), -LARGEST_STORED, LARGEST_STORED)
    found = [descend(second, target, start) for start in (nearest, hand_on(second, target))]
    errors = [output_error(second, wanted, scale, stored)[:, :, None] for stored in found]
    return np.where(errors[1] < errors[0], found[1], found[0])


def hand_on(second: FloatArray, target: FloatArray) -> FloatArray:
    """Round column by column; the weights to the right of each make up for its error as well as real numbers can."""
    upper = factor(second)
    left, stored = target.copy(), np.empty_like(target)
    for start in range(0, target.shape[2], BLOCK):
        end = min(start + BLOCK, target.shape[2])
        errors = np.zeros((*target.shape[:2], end - start), np.float32)
        for k in range(start, end):
            stored[:, :, k] = np.clip(np.rint(left[:, :, k]), -LARGEST_STORED, LARGEST_STORED)
            errors[:, :, k - start] = (left[:, :, k] - stored[:, :, k]) / upper[:, k, k, None]
            left[:, :, k + 1 : end] -= errors[:, :, k - start, None] * upper[:, k, None, k + 1 : end]
        left[:, :, end:] -= errors @ upper[:, start:end, end:]
    return stored


def factor(second: FloatArray) -> FloatArray:
    """The upper triangle U of U^T U = H^-1, f32[G, K, K]; LinAlgError where H has none."""
    inverse = np.linalg.inv(second.astype(np.float64))
    lower = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2)
    upper: FloatArray = lower.transpose(0, 2, 1).astype(np.float32)
    return upper


def descend(second: FloatArray, target: FloatArray, stored: FloatArray) -> FloatArray:
    """Coordinate descent from `stored`, in place, until nothing changes or SWEEPS are done."""
    gradient: FloatArray = np.matmul(stored - target, second, dtype=np.float32)
    for _ in range(SWEEPS):
        before = stored.copy()
        for start in range(0, target.shape[2], BLOCK):
            block = slice(start, start + BLOCK)
            moved = search_block(stored[:, :, block], gradient[:, :, block].copy(), second[:, block, block])
            gradient += moved @ second[:, block, :]
        if np.array_equal(before, stored):
            break
    return stored


def search_block(stored: FloatArray, gradient: FloatArray, second: FloatArray) -> FloatArray:
    """One sweep over the columns of a block, in place; how far each weight moved, f32[G, O, k]."""
    before = stored.copy()
    for k in range(second.shape[1]):
        best = np.rint(stored[:, :, k] - gradient[:, :, k] / second[:, k, k, None])
        step = np.clip(best, -LARGEST_STORED, LARGEST_STORED) - stored[:, :, k]
        if step.any():
            stored[:, :, k] += step
            gradient += step[:, :, None] * second[:, k, None, :]
    moved: FloatArray = np.asarray(stored - before)
    return moved


def output_error(second: FloatArray, wanted: FloatArray, scale: FloatArray, stored: FloatArray) -> FloatArray:
    """Mean squared output error per output channel, f32[G, O]."""
    off = stored * scale - wanted
    error: FloatArray = np.einsum("gok,gok->go", off @ second, off).astype(np.float32)
    return error
