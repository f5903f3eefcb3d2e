"""What an export makes of one target: the file with its contract and its proof."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.registry import Preprocess
from edgekit.target import Delegation, Emitted, FloatArray, TensorInfo


@dataclass(frozen=True, slots=True)
class Hop:
    """Parity of one step of the pipeline: how far `name` moved the outputs away from `reference`.

    Args:
        max_abs: largest absolute error, and `range` the spread (max - min) of the reference outputs, same unit.
        cosine: cosine similarity over all outputs.
        sqnr_db: 10 log10(sum reference^2 / sum error^2); inf when equal.
        agreement: share (0..1) of inputs with the same top-1 class.
        passed: whether the gate that applies to this hop held.
    """

    name: str
    reference: str
    max_abs: float
    range: float
    cosine: float
    sqnr_db: float
    agreement: float
    gate: str = ""
    passed: bool = True


def hop_document(hop: Hop) -> dict[str, Any]:
    """A hop as JSON, which has no infinity: null stands for it.

    An SQNR is infinite for equal outputs; where `passed` is false it is minus infinity, and so is the error infinite:
    the outputs could not be compared.
    """
    return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in asdict(hop).items()}


@dataclass(frozen=True, slots=True)
class ParityReport:
    """All hops of one artifact, in pipeline order.

    Args:
        images: how many inputs were compared, and `inputs` what they were ("calibration images", ...).
    """

    hops: tuple[Hop, ...]
    images: int
    inputs: str

    @property
    def first_failure(self) -> Hop | None:
        return next((hop for hop in self.hops if not hop.passed), None)


@dataclass(frozen=True, slots=True)
class Contract:
    """What an app must feed and what it gets: contract.json.

    Args:
        steps: preprocessing, one sentence each, in order, ending at the stored input dtype.
        labels: class names by index, where known.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    preprocess: Preprocess
    steps: tuple[str, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GoldenImage:
    """A picture, the tensor that it must become, and what the file makes of that.

    Args:
        name: of the .png in the bundle's golden/.
        stored: the input tensor in the file's own layout and dtype, batch 1.
        outputs: f32[k], dequantized.
    """

    name: str
    png: bytes = field(repr=False)
    stored: NDArray[np.generic] = field(repr=False)
    outputs: FloatArray = field(repr=False)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One finished model file with its proof.

    Args:
        golden_inputs: f32[n, C, H, W] that `golden_outputs`, f32[n, classes] of the file, and `reference_outputs`,
            f32[n, classes] of the float model, belong to; all three go into golden.npz.
        golden_images: pictures and their tensors, the proof of an app's preprocessing.
    """

    target: str
    emitted: Emitted
    contract: Contract
    parity: ParityReport
    golden_inputs: FloatArray = field(repr=False)
    golden_outputs: FloatArray = field(repr=False)
    reference_outputs: FloatArray = field(repr=False)
    delegation: Delegation | None = None
    golden_images: tuple[GoldenImage, ...] = ()
