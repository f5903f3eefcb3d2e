"""Running an .onnx file on the host."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.graph.session import REFUSALS, exact_int8, open_session, refused
from edgekit.target import FloatArray
from edgekit.targets.onnxruntime.emit import quantization


class OrtRunner:
    """Float in, float out; see edgekit.target.Runner."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._session = open_session(path, str(path), threads=threads, **exact_int8())
        self._where = str(path)
        self._input, self._output = self._session.get_inputs()[0].name, self._session.get_outputs()[0].name
        graph = ir.load(path).graph if self._stores_integers() else None
        self._in = quantization(graph.inputs[0]) if graph else (None, None)
        self._out = quantization(graph.outputs[0]) if graph else (None, None)

    def _stores_integers(self) -> bool:
        return any("int" in value.type for value in (*self._session.get_inputs(), *self._session.get_outputs()))

    def __call__(self, batch: FloatArray) -> FloatArray:
        return np.concatenate([self._run_one(image) for image in batch[:, np.newaxis]])

    def _run_one(self, image: FloatArray) -> FloatArray:
        try:
            stored = self._session.run([self._output], {self._input: self._to_stored(image)})[0].reshape(1, -1)
        except REFUSALS as error:
            raise refused(error, self._where) from error
        scale, zero = self._out
        if scale is None:
            return np.asarray(stored, np.float32)
        real: FloatArray = (np.float32(scale) * (stored.astype(np.int32) - (zero or 0))).astype(np.float32)
        return real

    def _to_stored(self, real: FloatArray) -> NDArray[Any]:
        scale, zero = self._in
        if scale is None:
            return real
        dtype = np.dtype(self._session.get_inputs()[0].type.removeprefix("tensor(").removesuffix(")"))
        limits = np.iinfo(dtype)
        steps = np.rint(real / np.float32(scale)) + (zero or 0)
        stored: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(dtype)
        return stored


def run(path: Path) -> OrtRunner:
    """A Runner for the file at `path`."""
    return OrtRunner(path)
