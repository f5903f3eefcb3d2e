"""Running a .tflite file on the host: ai-edge-litert, or tflite-runtime where only that is installed."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import EdgekitError
from edgekit.target import FloatArray

RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")


def load_interpreter(model: Path | bytes, threads: int = 1, **options: Any) -> Any:
    """An allocated Interpreter of the first runtime that is installed.

    Raises:
        EdgekitError: EK701 without a runtime, EK703 when the runtime refuses the file.
    """
    for name in RUNTIMES:
        try:
            interpreter_class = importlib.import_module(name).Interpreter
            break
        except ImportError:
            continue
    else:
        raise EdgekitError(
            "EK701",
            what="no TFLite runtime",
            where="ai-edge-litert",
            fix="pip install ai-edge-litert (or tflite-runtime)",
        )
    source = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
    try:
        interpreter = interpreter_class(**source, num_threads=threads, **options)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        where = "model in memory" if isinstance(model, bytes) else str(model)
        reason = str(error).strip().splitlines()[0].replace("Node number", "; node number")
        fix = "convert the file again; if edgekit wrote it, that is a bug: report it with the model"
        raise EdgekitError("EK703", what=f"TFLite refused it: {reason}", where=where, fix=fix) from error
    return interpreter


class TFLiteRunner:
    """Float in, float out, ONNX axis order; see edgekit.target.Runner. The files have images channels-last."""

    def __init__(self, path: Path | bytes, threads: int = 1) -> None:
        self.interpreter = load_interpreter(path, threads)
        self._input = self.interpreter.get_input_details()[0]
        self._output = self.interpreter.get_output_details()[0]

    def __call__(self, batch: FloatArray) -> FloatArray:
        return np.concatenate([self._run_one(image) for image in batch[:, np.newaxis]])

    def _run_one(self, image: FloatArray) -> FloatArray:
        stored = _to_stored(image.transpose(0, 2, 3, 1) if image.ndim == 4 else image, self._input)
        self.interpreter.set_tensor(self._input["index"], stored)
        self.interpreter.invoke()
        real = _to_real(self.interpreter.get_tensor(self._output["index"]), self._output)
        return np.ascontiguousarray(real.transpose(0, 3, 1, 2) if real.ndim == 4 else real).reshape(1, -1)


def _to_stored(real: NDArray[np.float32], detail: dict[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(detail["dtype"])
    scale, zero = detail["quantization"]
    if dtype.kind == "f" or scale == 0:
        return np.ascontiguousarray(real.astype(dtype))
    limits = np.iinfo(dtype)
    # The division is QuantizeLinear's: in float32, rounding halves to even.
    steps = np.rint(real / np.float32(scale)) + zero
    stored: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(dtype)
    return stored


def _to_real(stored: NDArray[Any], detail: dict[str, Any]) -> FloatArray:
    scale, zero = detail["quantization"]
    if np.dtype(detail["dtype"]).kind == "f" or scale == 0:
        return stored.astype(np.float32)
    real: FloatArray = (np.float32(scale) * (stored.astype(np.int32) - zero)).astype(np.float32)
    return real


def run(path: Path) -> TFLiteRunner:
    """A Runner for the file at `path`."""
    return TFLiteRunner(path)
