"""What is measured: files of bundles or alone, and a small fixed network that tells how fast the device itself is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.bundle.files import LARGEST_FILE, Bundle, read_bundle, sha256
from edgekit.errors import EdgekitError
from edgekit.files import is_folder, read_regular
from edgekit.graph.stored import to_stored
from edgekit.target import EmitOptions, EmittedNode, Runtime, TensorInfo, runtimes, targets

NOISE_SEED = 0
CONTROL_SEED, CONTROL_SIZE = 0, 32
CONTROL_LAYERS = ((32, 32, 3, 1), (512, 32, 3, 8), (1024, 512, 1, 1))
"""Output and input channels, kernel and stride: arithmetic first, then weights that no first-level cache holds."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model file and what it is fed.

    Args:
        name: for the user: the bundle's folder, or the file.
        target: of a file alone its suffix.
        inputs: one image as the file stores it.
        nodes: the file's operators with their modules; () where nobody wrote them down.
    """

    name: str
    model: str
    target: str
    runtime: Runtime
    file: Path
    sha256: str
    inputs: bytes = field(repr=False)
    nodes: tuple[EmittedNode, ...] = field(repr=False, default=())


def find_subject(path: Path) -> Subject:
    """A bundle's folder, or a model file alone.

    Raises:
        EdgekitError: EK102, EK110 as `read_bundle`; EK106 for a file that no runtime takes; EK202, EK203, EK703 for one
            that cannot be run.
    """
    return subject_of(read_bundle(path)) if is_folder(path, "the bundle") or not path.suffix else plain_subject(path)


def plain_subject(file: Path) -> Subject:
    """A file that edgekit need not have written, fed with noise: how long a network takes does not depend on it."""
    known = {runtime.suffix: runtime for runtime in runtimes() if runtime.plain_input is not None}
    suffix = file.suffix.removeprefix(".").lower()
    if suffix not in known:
        raise EdgekitError(
            "EK106",
            what=f"no bundle, and no file that edgekit can run: {file.name}",
            where=str(file),
            fix=f"name a folder that export wrote, or a {' or '.join(f'.{name}' for name in known)} file",
        )
    runtime = known[suffix]
    data = read_regular(file, LARGEST_FILE, "the model file")
    assert runtime.plain_input is not None
    try:
        source = runtime.plain_input(data)
    except EdgekitError as error:
        raise EdgekitError(error.code, what=error.what, where=str(file), fix=error.fix) from error
    return Subject(str(file), file.stem, suffix, runtime, file, sha256(data), _noise(source).tobytes())


def _noise(source: TensorInfo) -> NDArray[Any]:
    random, dtype = np.random.default_rng(NOISE_SEED), np.dtype(source.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return random.integers(max(limits.min, -128), min(limits.max, 127), source.shape, dtype, endpoint=True)
    return random.standard_normal(source.shape).astype(dtype)


def subject_of(bundle: Bundle) -> Subject:
    """The bundle's file with its first golden image."""
    return Subject(
        name=str(bundle.path),
        model=str(bundle.manifest["model"]),
        target=bundle.target,
        runtime=targets.get(bundle.target).runtime,
        file=bundle.model_file,
        sha256=sha256(bundle.model_file.read_bytes()),
        inputs=to_stored(bundle.inputs[:1], bundle.input).tobytes(),
        nodes=tuple(EmittedNode(node["operator"], node["module"]) for node in bundle.manifest.get("nodes", ())),
    )


def control_subject(runtime: Runtime, folder: Path) -> Subject:
    """The fixed network, written into `folder` for one runtime: a few milliseconds on a phone."""
    target = targets.get(runtime.control)
    data = target.emit(_control_graph(), target, EmitOptions()).data
    file = folder / f"control.{runtime.suffix}"
    file.write_bytes(data)
    image = np.ones((1, CONTROL_LAYERS[0][1], CONTROL_SIZE, CONTROL_SIZE), np.float32)
    return Subject("control", "control", target.name, runtime, file, sha256(data), image.tobytes())


def _control_graph() -> ir.Model:
    """Three convolutions with random weights: 20 million multiply-accumulates and 2.7 MB that come from memory."""
    random = np.random.default_rng(CONTROL_SEED)
    tensor = ir.TensorType(ir.DataType.FLOAT)
    size = CONTROL_SIZE
    source = value = ir.Value(name="input", shape=ir.Shape((1, CONTROL_LAYERS[0][1], size, size)), type=tensor)
    nodes, constants = [], []
    for index, (channels, read, side, stride) in enumerate(CONTROL_LAYERS):
        shape = (channels, read, side, side)
        kernel = (random.standard_normal(shape) / (read * side * side) ** 0.5).astype(np.float32)
        weight = ir.Value(name=f"weight{index}", const_value=ir.tensor(kernel), shape=ir.Shape(shape), type=tensor)
        options = {"pads": [side // 2] * 4, "strides": [stride] * 2, "kernel_shape": [side] * 2}
        node = ir.node("Conv", [value, weight], options, name=f"conv{index}")
        value, size = node.outputs[0], size // stride
        value.name, value.shape, value.type = f"value{index}", ir.Shape((1, channels, size, size)), tensor
        nodes.append(node)
        constants.append(weight)
    graph = ir.Graph([source], [value], nodes=nodes, initializers=constants, opset_imports={"": 18}, name="control")
    return ir.Model(graph, ir_version=10)
