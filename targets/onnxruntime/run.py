"""Running an .onnx file on the host."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from edgekit.graph.outputs import stack
from edgekit.graph.session import REFUSALS, exact_int8, open_session, refused
from edgekit.graph.stored import real_values, to_stored
from edgekit.target import FloatArray, Outputs, TensorInfo
from edgekit.targets.onnxruntime.emit import quantization
from edgekit.targets.onnxruntime.session import numpy_type


class OrtRunner:
    """Float in, float out; see edgekit.target.Runner."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._session = open_session(path, str(path), threads=threads, **exact_int8())
        self._where = str(path)
        values = (*self._session.get_inputs(), *self._session.get_outputs())
        scales = _quantizations(path) if any("int" in value.type for value in values) else {}
        self._input = _describe(self._session.get_inputs()[0], scales)
        self._outputs = [_describe(value, scales) for value in self._session.get_outputs()]
        self._names = [output.name for output in self._outputs]

    def __call__(self, batch: FloatArray) -> Outputs:
        return stack(self._names, (self._run_one(image) for image in batch[:, np.newaxis]))

    def _run_one(self, image: FloatArray) -> list[FloatArray]:
        try:
            found = self._session.run(self._names, {self._input.name: to_stored(image, self._input)})
        except REFUSALS as error:
            raise refused(error, self._where) from error
        return [real_values(stored, output) for stored, output in zip(found, self._outputs, strict=True)]


def run(path: Path) -> OrtRunner:
    """A Runner for the file at `path`."""
    return OrtRunner(path)


def dtype_of(value: ort.NodeArg) -> np.dtype[Any]:
    """The numpy dtype of a session's input or output."""
    return np.dtype(numpy_type(value.type))


def _describe(value: ort.NodeArg, scales: dict[str, tuple[float | None, int | None]]) -> TensorInfo:
    scale, zero_point = scales.get(value.name, (None, None))
    return TensorInfo(value.name, tuple(value.shape), dtype_of(value).name, "other", scale, zero_point)


def _quantizations(path: Path) -> dict[str, tuple[float | None, int | None]]:
    """Name of an input or output -> its scale and zero point, which a session does not tell."""
    graph = ir.load(path).graph
    return {str(value.name): quantization(value) for value in (*graph.inputs, *graph.outputs)}
