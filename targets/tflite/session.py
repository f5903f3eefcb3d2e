"""A TFLite file on a device: what edgekit/devices/runner.py loads beside itself. Python 3.9, nothing of edgekit."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

PACKAGES = (("litert", "ai_edge_litert"), ("tflite-runtime", "tflite_runtime"))
"""What they are called, and what Python imports; the better first."""


class Session:
    """ai-edge-litert, or tflite-runtime where only that is installed."""

    def __init__(self, model: str, threads: int) -> None:
        self.name, package = _first_installed()
        try:
            module = importlib.import_module(package + ".interpreter")
        except ImportError as error:  # installed, and made for another Python or numpy
            raise ImportError(f"{package}: {error}") from error
        self.version = _version_of(package)
        self.interpreter = module.Interpreter(model, num_threads=threads)
        self.interpreter.allocate_tensors()
        self._source = self.interpreter.get_input_details()[0]
        self._results = self.interpreter.get_output_details()
        self.input = _described(self._source)
        self.outputs = [_described(result) for result in self._results]

    def write_input(self, data: bytes) -> None:
        import numpy as np

        array = np.frombuffer(data, self._source["dtype"]).reshape(self._source["shape"])
        self.interpreter.set_tensor(self._source["index"], array)

    def prepare(self) -> Callable[[], Any]:
        return self.interpreter.invoke  # type: ignore[no-any-return]

    def read_outputs(self) -> list[bytes]:
        return [self.interpreter.get_tensor(result["index"]).tobytes() for result in self._results]

    def delegation(self) -> tuple[str, int | None, int | None]:
        """Read from the plan, as edgekit does on the host."""
        try:
            operators = self.interpreter._get_ops_details()
        except AttributeError:
            return "unknown", None, None
        partitions = [op for op in operators if op["op_name"] == "DELEGATE"]
        own = [op for op in operators if op["op_name"] != "DELEGATE"]
        if not partitions:
            return "none", 0, len(own)
        return "XNNPACK", len(partitions), len(own) - len(inside(own, partitions))


def inside(own: list[dict[str, Any]], partitions: list[dict[str, Any]]) -> set[int]:
    """Indices of the nodes that lie in partitions: walk back from each one's outputs to its inputs."""
    producer = {int(out): op for op in own for out in op["outputs"]}
    found: set[int] = set()
    for partition in partitions:
        border = {int(tensor) for tensor in partition["inputs"]}
        frontier = [int(tensor) for tensor in partition["outputs"]]
        while frontier:
            tensor = frontier.pop()
            op = producer.get(tensor)
            if op is not None and op["index"] not in found and tensor not in border:
                found.add(op["index"])
                frontier += [int(source) for source in op["inputs"]]
    return found


def _first_installed() -> tuple[str, str]:
    for name, package in PACKAGES:
        if importlib.util.find_spec(package) is not None:
            return name, package
    raise ImportError("neither ai-edge-litert nor tflite-runtime is installed")


def _version_of(package: str) -> str:
    module = importlib.import_module(package)
    if getattr(module, "__version__", None):
        return str(module.__version__)
    try:
        from importlib.metadata import version

        return version(package.replace("_", "-"))
    except ModuleNotFoundError:  # PackageNotFoundError is one: a copied package has no metadata
        return ""


def _described(detail: dict[str, Any]) -> tuple[str, Any, list[int]]:
    return detail["name"], detail["dtype"], [int(n) for n in detail["shape"]]
