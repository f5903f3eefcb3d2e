"""The stages of a network: what a reader of the paper's table looks for."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

OPEN_ABOVE = 0.8
"""A container in which more than this share of the MACs happens is shown by its parts."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of a network.

    Args:
        name: module path.
        kind: class of the module.
        output: (C, H, W), or (classes,) after the pooling.
        params: learnable parameters.
        macs: multiply-accumulates, as `count` counts them.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    params: int
    macs: int


def stages(module: nn.Module, input_shape: tuple[int, ...]) -> list[Stage]:
    """The parts of `module` that have weights or change the shape, in the order in which they run.

    Args:
        input_shape: (1, C, H, W). Shapes alone run through the network, on no memory.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    state = {name: tensor.to("meta") for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
    with ExitStack() as hooks, torch.no_grad(), torch.device("meta"):
        for name, part in module.named_modules():
            hooks.callback(part.register_forward_hook(_recorder(shapes, name)).remove)
        counter = hooks.enter_context(FlopCounterMode(display=False))
        functional_call(module, state, (torch.empty(input_shape),))
    macs: dict[str, int] = defaultdict(int)
    for path, operators in counter.get_flop_counts().items():
        if path != "Global":  # the root once more
            macs[path.partition(".")[2]] += sum(operators.values()) // 2
    chosen = [name for name in _opened(module, "", macs) if name in shapes]
    parts = dict(module.named_modules())
    found, before = [], tuple(input_shape[1:])
    for name in sorted(chosen, key=list(shapes).index):
        params = sum(p.numel() for p in parts[name].parameters())
        if params or shapes[name] != before:
            found.append(Stage(name, type(parts[name]).__name__, shapes[name], params, macs[name]))
        before = shapes[name]
    return found


def _recorder(shapes: dict[str, tuple[int, ...]], name: str) -> Callable[[nn.Module, object, object], None]:
    """A forward hook that notes the shape of a part's first output."""

    def record(_: nn.Module, __: object, output: object) -> None:
        if isinstance(output, Tensor):
            shapes.setdefault(name, tuple(output.shape[1:]))

    return record


def _opened(module: nn.Module, path: str, macs: dict[str, int]) -> Iterator[str]:
    """Paths of the parts to show."""
    for name, part in module.named_children():
        inner = f"{path}{name}"
        if macs[inner] > OPEN_ABOVE * macs[""] and len(list(part.children())) > 1:
            yield from _opened(part, f"{inner}.", macs)
        else:
            yield inner
