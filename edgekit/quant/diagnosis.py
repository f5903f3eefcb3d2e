"""Where int8 loses its accuracy: float and integers layer by layer, on the same images, in the model's own words."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.graph.module_path import module_of
from edgekit.quant.plan import name_of
from edgekit.quant.quantizer import Quantized
from edgekit.quant.walk import Step

FloatArray = NDArray[np.float32]

# SQNR of equal values, in dB: a number that JSON has.
EQUAL_DB = 150.0
# A layer that keeps less on its own than this is what the next rung should mend.
POOR_DB = 15.0


@dataclass(frozen=True, slots=True)
class LayerError:
    """What storing one value as integers costs.

    Args:
        module: PyTorch module path, or the ONNX node's name.
        alone_db: SQNR of the layer alone: exact operands, its own weights and storage.
        sqnr_db: SQNR accumulated: what really arrives.
        clipped: share (0..1) of the elements outside the stored range, and `range_kept` the share of the observed range
            (max - min) that can be stored.
        dead: channels that are stored as zero for every image but are not zero in float, of `channels`.
        float32: the operator was kept in float.
    """

    node: str
    operator: str
    module: str
    alone_db: float
    sqnr_db: float
    clipped: float
    range_kept: float
    dead: int
    channels: int
    float32: bool = False


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All layers in graph order, the one to blame, and what would help."""

    images: int
    layers: tuple[LayerError, ...]

    @property
    def culprit(self) -> LayerError | None:
        """The layer that loses most on its own: what reached it was better than what left it."""
        stored = [layer for layer in self.layers if not layer.float32]
        return min(stored, key=lambda layer: layer.alone_db, default=None)

    @property
    def advice(self) -> str:
        """The rung that would help the culprit, in a sentence."""
        worst = self.culprit
        if worst is None:
            return "nothing is stored as integers"
        if worst.dead:
            return "channels vanish beside larger ones: equalization (--quality balanced) brings them to one size"
        if worst.clipped > 0.005:
            return "its range is cut where elements are: more or other calibration images (--samples)"
        if worst.alone_db < POOR_DB:
            return "one scale is too coarse for it: keep it in float32 (--keep-float, or --min-sqnr)"
        return "every layer is sound on its own, the errors add up: AdaRound and bias correction (--quality best)"


def diagnose(quantized: Quantized, images: FloatArray) -> Diagnosis:
    """Walk float and integers over f32[n, C, H, W]."""
    found = [
        measure(step, index, quantized)
        for step in quantized.walker.walk(images, alone=True)
        for index, value in enumerate(step.node.outputs)
        if name_of(value) in quantized.params or is_kept(step.node, value, quantized)
    ]
    return Diagnosis(len(images), tuple(found))


def is_kept(node: ir.Node, value: ir.Value, quantized: Quantized) -> bool:
    """A float result of an operator that could have been stored as integers, and is not fused with the next."""
    return node.name not in quantized.plan.rules and value.dtype == ir.DataType.FLOAT


def measure(step: Step, index: int, quantized: Quantized) -> LayerError:
    """One result of one node."""
    node, reference = step.node, step.reference[index]
    params = quantized.params.get(name_of(node.outputs[index]))
    low, high = params.span if params is not None else (-np.inf, np.inf)
    smallest, largest = float(reference.min()), float(reference.max())
    kept = max(0.0, min(high, largest) - max(low, smallest)) / (largest - smallest) if largest > smallest else 1.0
    channels = reference.shape[1] if reference.ndim > 1 else 1
    alive = np.moveaxis(reference, 1, 0).reshape(channels, -1).any(1) if reference.ndim > 1 else np.array([True])
    stored = np.moveaxis(step.stored[index], 1, 0).reshape(channels, -1).any(1) if reference.ndim > 1 else alive
    half = 0.0 if params is None else params.scale / 2
    return LayerError(
        node=name_of(node),
        operator=node.op_type,
        module=module_of(node),
        alone_db=sqnr_db(reference, step.alone[index]),
        sqnr_db=sqnr_db(reference, step.stored[index]),
        clipped=float(np.mean((reference < low - half) | (reference > high + half))),
        range_kept=kept,
        dead=int((alive & ~stored).sum()),
        channels=channels,
        float32=params is None,
    )


def sqnr_db(reference: FloatArray, actual: FloatArray) -> float:
    """10 log10(sum reference^2 / sum error^2), between -EQUAL_DB and EQUAL_DB."""
    signal = float(np.square(reference, dtype=np.float64).sum())
    noise = float(np.square(reference - actual, dtype=np.float64).sum())
    if noise == 0.0:
        return EQUAL_DB
    return float(np.clip(10 * np.log10(signal / noise), -EQUAL_DB, EQUAL_DB)) if signal else -EQUAL_DB
