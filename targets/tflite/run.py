"""Running a .tflite file on the host: ai-edge-litert, or tflite-runtime where only that is installed."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.graph.outputs import stack
from edgekit.graph.stored import real_values, to_stored
from edgekit.target import FloatArray, Layout, Outputs, TensorInfo
from edgekit.targets.tflite.session import PACKAGES


def load_interpreter(model: Path | bytes, threads: int = 1, **options: Any) -> Any:
    """An allocated Interpreter of the first runtime that is installed.

    Raises:
        EdgekitError: EK701 without a runtime, EK703 when the runtime refuses the file.
    """
    for _, package in PACKAGES:
        try:
            interpreter_class = importlib.import_module(f"{package}.interpreter").Interpreter
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
        raise refused(error, "model in memory" if isinstance(model, bytes) else str(model)) from error
    return interpreter


def refused(error: Exception, where: str) -> EdgekitError:
    """EK703 in one line."""
    reason = str(error).strip().splitlines()[0].replace("Node number", "; node number")
    fix = "convert the file again; if edgekit wrote it, that is a bug: report it with the model"
    return EdgekitError("EK703", what=f"TFLite refused it: {reason}", where=where, fix=fix)


class TFLiteRunner:
    """Float in, float out, ONNX axis order; see edgekit.target.Runner. The files have images channels-last."""

    def __init__(self, path: Path | bytes, threads: int = 1) -> None:
        self.interpreter = load_interpreter(path, threads)
        self._where = "model in memory" if isinstance(path, bytes) else str(path)
        [given, *_] = self.interpreter.get_input_details()
        found = self.interpreter.get_output_details()
        self._input, self._input_index = _describe(given), given["index"]
        self._outputs = [_describe(detail) for detail in found]
        self._output_indices = [detail["index"] for detail in found]

    def __call__(self, batch: FloatArray) -> Outputs:
        rows = (self._run_one(image) for image in batch[:, np.newaxis])
        return stack([output.name for output in self._outputs], rows)

    def _run_one(self, image: FloatArray) -> list[FloatArray]:
        self.interpreter.set_tensor(self._input_index, to_stored(image, self._input))
        try:
            self.interpreter.invoke()
        except RuntimeError as error:  # a changed file may load and still not run
            raise refused(error, self._where) from error
        found = [self.interpreter.get_tensor(index) for index in self._output_indices]
        return [real_values(stored, output) for stored, output in zip(found, self._outputs, strict=True)]


def _describe(detail: dict[str, Any]) -> TensorInfo:
    """An input or output as the interpreter tells of it; a scale of 0 says that there is none."""
    shape, (scale, zero_point) = tuple(map(int, detail["shape"])), detail["quantization"]
    layout: Layout = "NHWC" if len(shape) == 4 else "other"
    dtype = np.dtype(detail["dtype"])
    if scale == 0 or dtype.kind == "f":
        return TensorInfo(detail["name"], shape, dtype.name, layout)
    return TensorInfo(detail["name"], shape, dtype.name, layout, scale, zero_point)


def run(path: Path) -> TFLiteRunner:
    """A Runner for the file at `path`."""
    return TFLiteRunner(path)
