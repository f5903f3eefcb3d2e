"""What a forward returns, as named tensors: the names that graph, file and contract carry.

    a tensor                        output
    a tuple or list                 output, output_1, ...
    a dict, NamedTuple, dataclass   its keys or fields
    nested                          the keys on the way, joined by "_"; a number behind what would come twice

None stands for nothing and is left out.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch import nn

INPUT = "input"
DEFAULT = "output"


class NotTensors(TypeError):
    """A forward returned something else than tensors; the message names it."""


def named_tensors(results: Any) -> dict[str, torch.Tensor]:
    """The tensors that a forward returned, by name, in its own order.

    Raises:
        NotTensors: for anything in it that is no tensor, and for nothing at all.
    """
    found: dict[str, torch.Tensor] = {}
    seen: Counter[str] = Counter()
    taken = {INPUT}
    for path, tensor in _walk(results, ()):
        base = re.sub(r"[^A-Za-z0-9_.-]+", "_", "_".join(path)) or DEFAULT
        name = base
        while name in taken:
            seen[base] += 1
            name = f"{base}_{seen[base]}"
        taken.add(name)
        found[name] = tensor
    if not found:
        raise NotTensors("nothing")
    return found


def _walk(results: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], torch.Tensor]]:
    """Each tensor with the keys that lead to it; places in a tuple or list have none."""
    if isinstance(results, torch.Tensor):
        yield path, results
        return
    if results is None:
        return
    for key, value in _parts(results):
        yield from _walk(value, path if key is None else (*path, key))


def _parts(results: Any) -> Iterator[tuple[str | None, Any]]:
    if isinstance(results, Mapping):
        yield from ((str(key), value) for key, value in results.items())
    elif isinstance(results, tuple) and hasattr(results, "_fields"):
        yield from zip(results._fields, results, strict=True)
    elif isinstance(results, tuple | list):
        yield from ((None, value) for value in results)
    elif is_dataclass(results) and not isinstance(results, type):
        yield from ((field.name, getattr(results, field.name)) for field in fields(results))
    else:
        raise NotTensors(f"a {type(results).__name__}")


class Flattened(nn.Module):
    """A module whose forward gives a tuple of tensors in the order of their names.

    torch.export takes dicts and tuples, but no dataclass, and orders nested results its own way.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.flattened = module

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(named_tensors(self.flattened(x)).values())


def is_flat(results: Any) -> bool:
    """Whether torch.export keeps a result's order by itself: a tensor, or a plain tuple or list of tensors."""
    if type(results) in (tuple, list):
        return bool(results) and all(isinstance(each, torch.Tensor) for each in results)
    return isinstance(results, torch.Tensor)


def own_path(path: str) -> str:
    """A path in a `Flattened` module as one in the module itself."""
    own, _, rest = path.partition(".")
    return rest if own == "flattened" else path


def name_outputs(graph: ir.Graph, names: Sequence[str]) -> None:
    """Give a graph's outputs these names; a value inside that has one of them gets another."""
    for index, value in enumerate(graph.outputs):
        value.name = f"edgekit.output.{index}"
    inside = [value for node in graph for value in node.outputs]
    taken = {*names, *graph.initializers, *(value.name for value in inside)}
    for value in (*inside, *list(graph.initializers.values())):
        if value.name in names:
            _rename(graph, value, taken)
    for value, name in zip(graph.outputs, names, strict=True):
        value.name = name


def _rename(graph: ir.Graph, value: ir.Value, taken: set[str | None]) -> None:
    number, before = 1, str(value.name)
    while f"{before}.{number}" in taken:
        number += 1
    taken.add(f"{before}.{number}")
    constant = graph.initializers.pop(before) if value.is_initializer() else None
    value.name = f"{before}.{number}"
    if constant is not None:
        graph.register_initializer(constant)
