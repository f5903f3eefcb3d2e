"""All that a folder of `targets/` speaks: what a target is, what its writer gives back, and what runs its files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit.environment import installed
from edgekit.registry import Registry

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgekit.artifact import Contract

Layout = Literal["NCHW", "NHWC", "NC", "other"]
IoType = Literal["int8", "uint8", "float32"]
FloatArray = NDArray[np.float32]
Outputs = Mapping[str, FloatArray]
"""Name of an output -> f32[n, ...] for n inputs, axes in ONNX order; in the order in which the model gives them."""
Activation = Literal["float32", "int8", "int16"]
Meaning = Literal["scores", "values"]
"""What the numbers of an output are: one score per class, or anything else."""


@dataclass(frozen=True, slots=True)
class QuantScheme:
    """How numbers are stored in a target's file.

    Args:
        weight: dtype of constants of linear operators ("int8" per output channel, "float16").
        activation: "int8" and "int16" need calibration; "float32" with int8 weights means dynamic-range.
    """

    weight: Literal["float32", "float16", "int8"]
    activation: Activation

    @property
    def needs_calibration(self) -> bool:
        return self.activation != "float32"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The parity gate of a target against the float model, on real inputs.

    Args:
        max_abs: largest error, as a fraction of the range of the reference outputs; None: not gated.
        min_sqnr_db: smallest signal-to-quantization-noise ratio of the logits in dB.
        min_agreement: smallest share of inputs (0..1) whose top-1 class stays the same.
        max_lost: largest share (0..1) of an output's channels whose error may be as large as their variation; None: not
            gated.
    """

    max_abs: float | None = None
    min_sqnr_db: float | None = None
    min_agreement: float | None = None
    max_lost: float | None = 0.02


@dataclass(frozen=True, slots=True)
class AndroidLibrary:
    """A Maven package that runs a target's files in an app.

    Args:
        runtime: which of the app's classes call it: a folder in edgekit/android/templates/<language>/.
        coordinate: group:artifact:version.
        loads: the newest `min_runtime` that this version satisfies.
        min_sdk: the oldest Android API level that it supports.
        page_size: what its 64-bit native libraries are aligned to, bytes.
    """

    name: str
    runtime: str
    coordinate: str
    loads: str
    min_sdk: int
    abis: tuple[str, ...] = ("arm64-v8a", "armeabi-v7a", "x86_64")
    page_size: int = 16384


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package that runs files.

    Args:
        name: what the runner on a device calls it ("litert").
        distribution: what pip calls it ("ai-edge-litert").
    """

    name: str
    distribution: str

    @property
    def version(self) -> str | None:
        """The one that is installed on this host; None where it is not."""
        return installed(self.distribution)


@dataclass(frozen=True, slots=True)
class Library:
    """A C library in a wheel.

    Args:
        member: the file in the wheel of `distribution`, as a pattern.
        file: its name on the device.
    """

    distribution: str
    member: str
    file: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs the files of targets: here, on a device and in an app.

    Args:
        name: what the C runner calls it, and the measurements of its own program.
        title: for people.
        suffix: of its files, without the dot.
        packages: what runs it in Python, the best first.
        session: a Python file that goes to devices, with the class `Session` that edgekit/devices/runner.py describes.
        control: name of the target whose file shows how fast a device itself is.
        exact: the delegate whose kernels give the same integers on every CPU, where no node is left to others.
        library: what the C runner loads on aarch64; None: only the Python runner runs its files.
        program: its own benchmark, where edgekit reads what that prints ("benchmark_model").
        android: what runs its files in an app, the best first.
        plain_input: the one input of a file that edgekit did not write, from its bytes; an error where it cannot run.
        place_kernels: which operators of a file the kernels belong to that its profiler names; None: it cannot be told.
    """

    name: str
    title: str
    suffix: str
    packages: tuple[Package, ...]
    session: Path
    control: str
    exact: str | None = None
    library: Library | None = None
    program: str | None = None
    android: tuple[AndroidLibrary, ...] = ()
    plain_input: "Callable[[bytes], TensorInfo] | None" = None
    place_kernels: "Callable[[bytes, Sequence[str], Sequence[int | None]], PlacedKernels] | None" = None

    @property
    def host(self) -> Package | None:
        """What runs its files on this host: the first package that is installed."""
        return next((package for package in self.packages if package.version), None)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a model file, as the app sees it.

    Args:
        shape: in the order the file stores it.
        layout: what the axes mean.
        scale, zero_point: real = scale * (stored - zero_point); None for float tensors.
        meaning: of an output, once its model is known; None for inputs.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: Layout
    scale: float | None = None
    zero_point: int | None = None
    meaning: Meaning | None = None


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
class PlacedKernels:
    """What the kernels of a run computed.

    Args:
        nodes: the file's operators in order; what each gives stands in for its module.
        of_kernel: index of the operator of each kernel.
    """

    nodes: tuple[EmittedNode, ...]
    of_kernel: tuple[int, ...]


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

    def __call__(self, batch: FloatArray, /) -> Outputs:
        """Run f32[N, C, H, W] image by image; every output by name, dequantized."""
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
        gives_output: whether the tensor is an output of the file.
    """

    index: int
    operator: str
    tensor: str
    output: TensorInfo
    sources: tuple[int, ...]
    reads_input: bool = False
    gives_output: bool = False


class Layers(Protocol):
    """A model file taken apart."""

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """In the order of the file; those that give an output of the file say so."""
        ...

    def until(self, cut: Cut) -> bytes:
        """The file that ends there: same operators, same weights, the cut's tensor as its only output."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of file: how it is written, and how it is run and looked into on this host.

    Args:
        runtime: what runs the file anywhere.
        emit: writes a graph, quantized as `scheme` says, as a file in memory.
        run: loads the model file at a path.
        delegation: how the accelerated kernels cut a file; None where a runtime has no such thing.
        layers: takes the bytes of a file apart.
        finish: adds what describes the file or lies beside it, from its contract and the model's name.
        min_runtime: the oldest runtime version that loads the file.
    """

    name: str
    runtime: Runtime
    summary: str
    scheme: QuantScheme
    tolerance: Tolerance
    emit: Callable[["ir.Model", "Target", EmitOptions], Emitted] = field(repr=False)
    run: Callable[[Path], Runner] = field(repr=False)
    delegation: Callable[[Emitted], Delegation] | None = field(default=None, repr=False)
    layers: Callable[[bytes], Layers] | None = field(default=None, repr=False)
    finish: Callable[[Emitted, "Contract", str], Emitted] | None = field(default=None, repr=False)
    min_runtime: str = ""

    @property
    def model_file(self) -> str:
        """What the file is called in a bundle."""
        return f"model.{self.runtime.suffix}"


targets: Registry[Target] = Registry("target", "edgekit.targets")


def runtimes() -> tuple[Runtime, ...]:
    """The runtimes of all targets, each once."""
    return tuple(dict.fromkeys(target.runtime for target in targets))


def names_with(*activations: Activation) -> str:
    """The targets that store activations so, for a sentence: "a, b or c"."""
    *others, last = (target.name for target in targets if target.scheme.activation in activations)
    return f"{', '.join(others)} or {last}" if others else last
