"""What a module remembers, put back after it was run for a trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Run `module` in the block; afterwards all its parts have the attributes, lists, dicts and buffers of before.

    A cache that a forward fills with what it saw, a counter or a running mean would be part of what is traced next.
    Not covered: parameters written in place, and what a module keeps deeper in objects of its own.
    """
    attributes = [(part, dict(part.__dict__)) for part in module.modules()]
    held = [value for _, saved in attributes for value in saved.values()]
    containers = [(value, value.copy()) for value in held if isinstance(value, dict | list | set)]
    tensors = [*module.buffers(), *(value for value in held if isinstance(value, torch.Tensor))]
    buffers = [(tensor, tensor.detach().clone()) for tensor in tensors]
    try:
        yield
    finally:
        for part, saved in attributes:
            part.__dict__.clear()
            part.__dict__.update(saved)
        for container, copied in containers:
            _refill(container, copied)
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def _refill(container: Any, saved: Any) -> None:
    container.clear()
    (container.extend if isinstance(container, list) else container.update)(saved)
