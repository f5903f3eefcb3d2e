"""The reference's operations in the order in which it runs them: an oracle that holds no numbers, but every shape,
stride, padding and epsilon.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

Operation = tuple[str, str, str]
"""(ATen operator, output shape, scalar arguments)."""

UNCOUNTED = ("zeros", "empty", "t.", "view", "pad", "constant_pad_nd")
"""Allocation, and views and pads, which two modules of the same network may write differently."""


class Recorder(TorchDispatchMode):
    """Writes down every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        first = result[0] if isinstance(result, tuple | list) else result
        scalars = [list(arg) if isinstance(arg, tuple) else arg for arg in args if not isinstance(arg, Tensor)]
        self.operations.append((function.__name__, _shape(first), str(scalars)))
        return result


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "0"


def _counted(operations: Sequence[Operation]) -> list[Operation]:
    plain = [(name.replace("_.", "."), shape, scalars) for name, shape, scalars in operations]
    return [operation for operation in plain if not operation[0].startswith(UNCOUNTED)]


def recorded(module: nn.Module, pixels: int) -> list[Operation]:
    """What a module on the meta device runs, without what does not count."""
    with torch.device("meta"), torch.no_grad(), Recorder() as recorder:
        module.eval()(torch.zeros(1, 3, pixels, pixels))
    return _counted(recorder.operations)


def read_trace(reference: Path, name: str) -> list[Operation]:
    """The same of `library/id`."""
    path = reference / "traces" / f"{name.replace('/', '__')}.tsv"
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    return _counted([(operator, output, scalars) for _, _, operator, _, output, scalars in rows])
