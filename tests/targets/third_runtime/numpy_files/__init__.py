"""A third runtime, as another package brings it: .npk files, which numpy computes (ONNX's reference evaluator)."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir as ir

from edgekit.graph.module_path import module_of
from edgekit.graph.outputs import stack
from edgekit.target import (
    EmitOptions,
    Emitted,
    EmittedNode,
    FloatArray,
    Outputs,
    Package,
    QuantScheme,
    Runtime,
    Target,
    TensorInfo,
    Tolerance,
    targets,
)
from numpy_files.session import Session

RUNTIME = Runtime(
    name="numpy",
    title="NumPy",
    suffix="npk",
    packages=(Package("onnx-reference", "onnx"),),
    session=Path(__file__).with_name("session.py"),
    control="numpy-fp32",
    exact="numpy",
)


def emit(graph: ir.Model, target: Target, options: EmitOptions) -> Emitted:
    """The graph's own bytes."""
    nodes = tuple(EmittedNode(node.op_type, module_of(node)) for node in graph.graph)
    return Emitted(
        data=ir.to_proto(graph).SerializeToString(deterministic=True),
        inputs=tuple(map(described, graph.graph.inputs)),
        outputs=tuple(map(described, graph.graph.outputs)),
        operators=dict(sorted(Counter(node.operator for node in nodes).items())),
        nodes=nodes,
    )


def described(value: ir.Value) -> TensorInfo:
    shape = tuple(map(int, value.shape))
    return TensorInfo(value.name, shape, "float32", "NCHW" if len(shape) == 4 else "other")


class HostRunner:
    """Float in, float out: the session of a device, on this host."""

    def __init__(self, path: Path) -> None:
        self._session = Session(str(path), 1)

    def __call__(self, batch: FloatArray, /) -> Outputs:
        return stack([name for name, _, _ in self._session.outputs], map(self._run_one, batch))

    def _run_one(self, image: FloatArray) -> list[FloatArray]:
        self._session.write_input(image.tobytes())
        self._session.prepare()()
        read = zip(self._session.read_outputs(), self._session.outputs, strict=True)
        return [np.frombuffer(data, np.float32).reshape(shape) for data, (_, _, shape) in read]


targets.add(
    "numpy-fp32",
    Target(
        "numpy-fp32",
        RUNTIME,
        "float32, computed by numpy",
        QuantScheme("float32", "float32"),
        Tolerance(max_abs=1e-4),
        emit,
        HostRunner,
    ),
    __name__,
)
