"""An .onnx file on a device: what edgekit/devices/runner.py loads beside itself. Python 3.9, nothing of edgekit."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any


class Session:
    """onnxruntime on the CPU."""

    name = "onnxruntime"

    def __init__(self, model: str, threads: int) -> None:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            ort = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise ImportError(f"onnxruntime: {error}") from error
        self.version = str(ort.__version__)
        choices = ort.SessionOptions()
        choices.intra_op_num_threads = threads
        choices.log_severity_level = 3
        # x86-64 without VNNI saturates by default; with it, the exact kernels take twice as long for the same bits.
        if not has_vnni():
            choices.add_session_config_entry("session.x64quantprecision", "1")
        self.session = ort.InferenceSession(model, choices, providers=["CPUExecutionProvider"])
        self.input = _described(self.session.get_inputs()[0])
        self.outputs = [_described(value) for value in self.session.get_outputs()]
        self._feed: dict[str, Any] = {}
        self._last: Any = None

    def write_input(self, data: bytes) -> None:
        import numpy as np

        name, dtype, shape = self.input
        self._feed = {name: np.frombuffer(data, dtype).reshape(shape)}

    def prepare(self) -> Callable[[], Any]:
        run, names = self.session.run, [name for name, _, _ in self.outputs]

        def invoke() -> None:
            self._last = run(names, self._feed)

        return invoke

    def read_outputs(self) -> list[bytes]:
        return [array.tobytes() for array in self._last]

    def delegation(self) -> tuple[str, int | None, int | None]:
        return "CPUExecutionProvider", None, None


def has_vnni() -> bool:
    try:
        with open("/proc/cpuinfo") as file:
            return not {"avx512_vnni", "avx_vnni"}.isdisjoint(file.read().split())
    except OSError:
        return False


def numpy_type(name: str) -> str:
    """`tensor(float)`, as a session says it, -> float32."""
    inner = name[len("tensor(") : -1]
    return {"float": "float32", "double": "float64"}.get(inner, inner)


def _described(value: Any) -> tuple[str, str, list[Any]]:
    return value.name, numpy_type(value.type), list(value.shape)
