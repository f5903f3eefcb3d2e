"""An .npk file on a device: the third runtime's session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator


class Session:
    """ONNX's reference evaluator."""

    name, version = "onnx-reference", onnx.__version__

    def __init__(self, model: str, threads: int) -> None:
        graph = onnx.load(model).graph
        self._evaluator = ReferenceEvaluator(model)
        self.input = described(graph.input[0])
        self.outputs = [described(output) for output in graph.output]
        self._feed: dict[str, Any] = {}
        self._last: list[Any] = []

    def write_input(self, data: bytes) -> None:
        name, dtype, shape = self.input
        self._feed = {name: np.frombuffer(data, dtype).reshape(shape)}

    def prepare(self) -> Callable[[], Any]:
        def invoke() -> None:
            self._last = self._evaluator.run(None, self._feed)

        return invoke

    def read_outputs(self) -> list[bytes]:
        return [np.ascontiguousarray(array).tobytes() for array in self._last]

    def delegation(self) -> tuple[str, int | None, int | None]:
        return "numpy", None, None


def described(value: onnx.ValueInfoProto) -> tuple[str, str, list[int]]:
    return value.name, "float32", [size.dim_value for size in value.type.tensor_type.shape.dim]
