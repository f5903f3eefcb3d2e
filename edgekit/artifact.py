"""What a target's writer gives back, and what runs it: the types between `targets/` and the pipeline."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit.registry import Preprocess

Layout = Literal["NCHW", "NHWC", "NC", "other"]
IoType = Literal["int8", "uint8", "float32"]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a model file, as the app sees it.

    Args:
        shape: in the order the file stores it.
        layout: what the axes mean.
        scale, zero_point: real = scale * (stored - zero_point); None for float tensors.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: Layout
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True, slots=True)
class EmitOptions:
    """What the user may choose about a file's surface.

    Args:
        io: dtype of inputs and outputs; None takes the target's own (int8 for full-integer TFLite, float32 else).
    """

    io: IoType | None = None


@dataclass(frozen=True, slots=True)
class EmittedNode:
    """An operator of a model file, in the words of the model it came from.

    Args:
        module: PyTorch module path, or the ONNX node's name.
        refusal: why the delegate will not take it; empty where it will.
    """

    operator: str
    module: str
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Emitted:
    """A model file in memory.

    Args:
        data: the file's bytes; the same graph gives the same bytes.
        operators: name of the file's operator -> count.
        nodes: the file's operators in order.
        min_runtime: oldest runtime that loads this file.
        beside: further files of the bundle, by name.
    """

    data: bytes
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: dict[str, int]
    nodes: tuple[EmittedNode, ...] = ()
    min_runtime: str = ""
    beside: dict[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Undelegated:
    """A node that the accelerated kernels refused."""

    operator: str
    module: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class Delegation:
    """How a runtime cut the graph: one partition and no undelegated node is the goal."""

    delegate: str
    partitions: int
    undelegated: tuple[Undelegated, ...] = ()


class Runner(Protocol):
    """Runs one model file on the host. Quantization and layout are hidden: float in, float out, ONNX axis order."""

    def __call__(self, batch: FloatArray) -> FloatArray:
        """Run f32[N, C, H, W] image by image; f32[N, k], the first output, dequantized, flattened in ONNX order."""
        ...


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where a model file can be cut in two: behind one of its operators.

    Args:
        index: position among the file's cuts.
        operator: its kind ("CONV_2D"); `tensor` the name of what it gives.
        output: as the file stores it.
        sources: indices of the cuts that it is computed from.
        reads_input: whether it reads the file's input itself.
    """

    index: int
    operator: str
    tensor: str
    output: TensorInfo
    sources: tuple[int, ...]
    reads_input: bool = False


class Layers(Protocol):
    """A model file taken apart."""

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """In the order of the file; the last one is its first output."""
        ...

    def until(self, cut: Cut) -> bytes:
        """The file that ends there: same operators, same weights, the cut's tensor as its only output."""
        ...


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
