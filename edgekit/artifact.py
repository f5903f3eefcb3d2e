"""What an export makes of one target: the file with its contract and its proof."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.registry import Preprocess
from edgekit.target import Delegation, Emitted, FloatArray, Outputs, TensorInfo


@dataclass(frozen=True, slots=True)
class OutputParity:
    """How far one output moved in one step of the pipeline.

    Args:
        output: its name.
        max_abs: largest absolute error, and `range` the spread (max - min) of the reference, same unit.
        cosine: cosine similarity over all elements.
        sqnr_db: 10 log10(sum (reference - mean)^2 / sum error^2); inf when equal.
        agreement: share (0..1) of inputs with the same top-1 class; None where the output has no classes.
        channels: how many vary; `lost` of them have an error as large as their variation, and `unheld` vary by less
            than the fixed step of the kernel that writes them.
        channel_db: the lowest SQNR of a channel; 150 where all are equal.
        gate: what was asked of it and what it gave, in words.
        passed: whether the gate held.
    """

    output: str
    max_abs: float
    range: float
    cosine: float
    sqnr_db: float
    agreement: float | None = None
    channels: int = 0
    lost: int = 0
    unheld: int = 0
    channel_db: float = 150.0
    gate: str = ""
    passed: bool = True


@dataclass(frozen=True, slots=True)
class Hop:
    """Parity of one step of the pipeline: how far `name` moved each output away from `reference`.

    Args:
        inputs: what it was measured on ("64 images that ..."), where that is not what the report says of all hops.
    """

    name: str
    reference: str
    outputs: tuple[OutputParity, ...]
    inputs: str = ""

    @property
    def passed(self) -> bool:
        return all(output.passed for output in self.outputs)

    @property
    def worst(self) -> OutputParity:
        """The output that a reader must see first: one that failed, else the one with the lowest SQNR."""
        return min(self.outputs, key=lambda output: (output.passed, output.sqnr_db))

    @property
    def agreement(self) -> float | None:
        """Of the output that has classes; None where none has."""
        return next((output.agreement for output in self.outputs if output.agreement is not None), None)

    @property
    def gate(self) -> str:
        """The worst output's, named where there are several."""
        worst = self.worst
        return f"{worst.output}: {worst.gate}" if len(self.outputs) > 1 and worst.gate else worst.gate


def hop_document(hop: Hop) -> dict[str, Any]:
    """A hop as JSON: the figures of its worst output, then all outputs.

    JSON has no infinity: null stands for it. An SQNR is infinite for equal outputs; where `passed` is false it is minus
    infinity, and so is the error infinite: the outputs could not be compared.
    """
    worst = output_document(hop.worst)
    return {
        "name": hop.name,
        "reference": hop.reference,
        **({"inputs": hop.inputs} if hop.inputs else {}),
        **worst,
        "gate": hop.gate,
        "agreement": hop.agreement,
        "outputs": [output_document(output) for output in hop.outputs],
    }


def output_document(output: OutputParity) -> dict[str, Any]:
    """One output of a hop as JSON."""
    return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in asdict(output).items()}


def measured_elsewhere(hops: Iterable[Hop]) -> str:
    """Says "; end to end on 64 images that ..." of hops that were not measured on what all others were."""
    return "".join(dict.fromkeys(f"; {hop.name} on {hop.inputs}" for hop in hops if hop.inputs))


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
    def headline(self) -> str:
        """What the last hop, file against module, was measured on."""
        return self.hops[-1].inputs or f"{self.images} {self.inputs}"

    @property
    def first_failure(self) -> Hop | None:
        return next((hop for hop in self.hops if not hop.passed), None)


@dataclass(frozen=True, slots=True)
class Contract:
    """What an app must feed and what it gets: contract.json.

    Args:
        steps: preprocessing, one sentence each, in order, ending at the stored input dtype.
        labels: class names by index, where known; of the output that holds the scores.
        preprocess_assumed: nobody said how images become the input; it is a guess.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    preprocess: Preprocess
    steps: tuple[str, ...]
    labels: tuple[str, ...] = ()
    preprocess_assumed: bool = False


@dataclass(frozen=True, slots=True)
class GoldenImage:
    """A picture, the tensor that it must become, and what the file makes of that.

    Args:
        name: of the .png in the bundle's golden/.
        stored: the input tensor in the file's own layout and dtype, batch 1.
        outputs: name -> f32[...], dequantized.
    """

    name: str
    png: bytes = field(repr=False)
    stored: NDArray[np.generic] = field(repr=False)
    outputs: Outputs = field(repr=False)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One finished model file with its proof.

    Args:
        golden_inputs: f32[n, C, H, W] that `golden_outputs` of the file and `reference_outputs` of the float model
            belong to; all three go into golden.npz.
        golden_images: pictures and their tensors, the proof of an app's preprocessing.
    """

    target: str
    emitted: Emitted
    contract: Contract
    parity: ParityReport
    golden_inputs: FloatArray = field(repr=False)
    golden_outputs: Outputs = field(repr=False)
    reference_outputs: Outputs = field(repr=False)
    delegation: Delegation | None = None
    golden_images: tuple[GoldenImage, ...] = ()
