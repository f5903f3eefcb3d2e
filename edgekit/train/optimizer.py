"""PyTorch's optimisers, with weight decay where it helps and rates that grow with depth."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from edgekit.train.config import TrainConfig

LEVELS = 8  # groups of layers that share a rate
DEFAULT_RATE = {"sgd": 0.1, "rmsprop": 0.01, "adamw": 0.003}
"""Of a batch of 256 from scratch: arXiv:1706.02677 (SGD, linear in the batch), and what trained here."""
FINE_TUNING = 0.2
"""Of those, for weights that are trained already."""
WITHOUT_NORMS = 0.1
"""Of those, from scratch, without norms: SqueezeNet dies at a BatchNorm net's rate (arXiv:1409.1556 has 0.01)."""
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.instancenorm._InstanceNorm)
DEFAULT_DECAY = {"sgd": 1e-4, "rmsprop": 1e-5, "adamw": 0.05}


def default_rate(config: TrainConfig, module: nn.Module) -> float:
    """Linear in the batch for SGD and RMSProp, with its root for AdamW, whose steps have a size of their own."""
    share = config.batch_size / 256
    rate = DEFAULT_RATE[config.optimizer] * (math.sqrt(share) if config.optimizer == "adamw" else share)
    if config.pretrained:
        return float(f"{rate * FINE_TUNING:.2g}")  # norms may have been folded into weights that are trained
    normed = any(isinstance(part, NORMS) for part in module.modules())
    return float(f"{rate * (1 if normed else WITHOUT_NORMS):.2g}")


def default_decay(config: TrainConfig) -> float:
    return DEFAULT_DECAY[config.optimizer]


def make_optimizer(module: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum (arXiv:1308.0850's form), RMSProp as TensorFlow's papers use it, or AdamW."""
    assert config.weight_decay is not None
    assert config.layer_decay is not None
    assert config.learning_rate is not None
    groups = parameter_groups(module, config.weight_decay, config.layer_decay)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, config.learning_rate, config.momentum, nesterov=config.momentum > 0)
    if config.optimizer == "rmsprop":
        # decay 0.9 and epsilon 0.001 inside the papers' code: MobileNet, EfficientNet, MnasNet
        return torch.optim.RMSprop(groups, config.learning_rate, alpha=0.9, eps=1e-3, momentum=config.momentum)
    return torch.optim.AdamW(groups, config.learning_rate)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def parameter_groups(module: nn.Module, weight_decay: float, layer_decay: float = 1.0) -> list[dict[str, Any]]:
    """Parameters by depth and by whether weight decay is for them, for an optimiser.

    No decay for biases, norms and depthwise filters: these have too few parameters to need it (arXiv:1704.04861,
    section 3.2). Depth is the order in which layers are defined: the first learns with `layer_decay` of the rate, the
    last with all of it, those between in geometric steps (arXiv:1801.06146, section 3.2).
    """
    layers = list(_layers(module))
    grouped: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for place, (parameters, decayed) in enumerate(layers):
        depth = place / max(1, len(layers) - 1)
        level = LEVELS if layer_decay == 1 else min(int(depth * LEVELS), LEVELS - 1) if depth < 1 else LEVELS
        for parameter, wanted in zip(parameters, decayed, strict=True):
            grouped.setdefault((level, wanted), []).append(parameter)
    return [
        {
            "params": members,
            "weight_decay": weight_decay if decayed else 0.0,
            "share": layer_decay ** (1 - level / LEVELS),
        }
        for (level, decayed), members in sorted(grouped.items())
    ]


def _layers(module: nn.Module) -> Iterator[tuple[list[nn.Parameter], list[bool]]]:
    """Each part's own parameters, once each, and whether weight decay is for them."""
    seen: set[int] = set()
    for part in module.modules():
        depthwise = isinstance(part, nn.Conv2d) and part.groups == part.in_channels > 1
        own = [parameter for parameter in part.parameters(recurse=False) if id(parameter) not in seen]
        seen |= {id(parameter) for parameter in own}
        if own:
            yield own, [not depthwise and parameter.ndim > 1 for parameter in own]


@torch.no_grad()
def average(averaged: nn.Module, module: nn.Module, decay: float) -> None:
    """averaged = decay * averaged + (1 - decay) * module, in place, BatchNorm's statistics included."""
    pairs = list(zip(_tensors(averaged), _tensors(module), strict=True))
    moving = [(kept, now) for kept, now in pairs if kept.is_floating_point()]
    torch._foreach_lerp_([kept for kept, _ in moving], [now for _, now in moving], 1 - decay)
    for kept, now in pairs:
        if not kept.is_floating_point():
            kept.copy_(now)


def _tensors(module: nn.Module) -> Iterable[torch.Tensor]:
    return (value for value in module.state_dict().values() if isinstance(value, torch.Tensor))
