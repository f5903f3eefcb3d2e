"""Running an .onnx file on the host."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, NoSuchFile, NotImplemented

from edgekit.artifact import FloatArray
from edgekit.errors import EdgekitError
from edgekit.targets.onnxruntime.emit import quantization

# On an x86-64 CPU without VNNI, ONNX Runtime adds pairs of uint8 x int8 products in 16 bits, where they saturate: on
# MobileNetV2 7 dB of SQNR are left of 19. This asks for the exact kernels; ARM has no others, and ignores it.
EXACT = {"session.x64quantprecision": "1"}
REFUSALS = (Fail, InvalidArgument, InvalidGraph, NoSuchFile, NotImplemented)


class OrtRunner:
    """Float in, float out; see edgekit.artifact.Runner."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        for key, value in EXACT.items():
            options.add_session_config_entry(key, value)
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except REFUSALS as error:
            raise EdgekitError(
                "EK703",
                what=f"ONNX Runtime refused it: {str(error).splitlines()[0]}",
                where=str(path),
                fix="check the file, and the installed onnxruntime with: edgekit doctor",
            ) from error
        self._input, self._output = self._session.get_inputs()[0].name, self._session.get_outputs()[0].name
        graph = ir.load(path).graph if self._stores_integers() else None
        self._in = quantization(graph.inputs[0]) if graph else (None, None)
        self._out = quantization(graph.outputs[0]) if graph else (None, None)

    def _stores_integers(self) -> bool:
        return any("int" in value.type for value in (*self._session.get_inputs(), *self._session.get_outputs()))

    def __call__(self, batch: FloatArray) -> FloatArray:
        return np.concatenate([self._run_one(image) for image in batch[:, np.newaxis]])

    def _run_one(self, image: FloatArray) -> FloatArray:
        stored = self._session.run([self._output], {self._input: self._to_stored(image)})[0]
        scale, zero = self._out
        if scale is None:
            return np.asarray(stored, np.float32)
        return (np.float32(scale) * (stored.astype(np.int32) - (zero or 0))).astype(np.float32)

    def _to_stored(self, real: FloatArray) -> NDArray[Any]:
        scale, zero = self._in
        if scale is None:
            return real
        dtype = np.dtype(self._session.get_inputs()[0].type.removeprefix("tensor(").removesuffix(")"))
        limits = np.iinfo(dtype)
        steps = np.rint(real / np.float32(scale)) + (zero or 0)
        return np.clip(steps, limits.min, limits.max).astype(dtype)


def run(path: Path) -> OrtRunner:
    """A Runner for the file at `path`."""
    return OrtRunner(path)
