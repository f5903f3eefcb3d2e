"""Counting a module's parameters and multiply-accumulates."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True, slots=True)
class Counts:
    """Cost of one inference.

    Args:
        params: learnable parameters; BatchNorm's running statistics are none. Shared ones count once.
        macs: multiply-accumulates of convolutions and matrix products. Bias, norm, activation, pooling and element-wise
            operators are left out, as papers do. FLOPs are twice as many.
    """

    params: int
    macs: int


def count(module: nn.Module, input_shape: tuple[int, ...]) -> Counts:
    """Count `module` for an input of `input_shape`, batch included: (1, C, H, W).

    Nothing is computed and the module is not changed: shapes alone run through it, so matrix products written as
    functions (attention) count like layers, and the largest network takes no memory. It is counted as it infers, in
    evaluation mode: a BatchNorm in training mode refuses a single pixel.
    """
    state = {name: tensor.to("meta") for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            functional_call(module, state, (torch.empty(input_shape, device="meta"),))
    finally:
        for part in training:
            part.training = True
    return Counts(sum(p.numel() for p in module.parameters()), int(counter.get_total_flops()) // 2)
