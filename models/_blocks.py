"""Parts that several families are made of. Module names follow the reference's state_dict keys."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]
Activation = Callable[[], nn.Module]


def make_divisible(value: float, divisor: int = 8) -> int:
    """`value` rounded to a multiple of `divisor`, never more than 10 % below it.

    Source: the rounding rule of TF-slim's MobileNet V2; also used by V3 and EfficientNet.
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def check_positive(**multipliers: float) -> None:
    """ValueError where a multiplier is not above 0: rounding would make a tiny network of it, silently."""
    for name, value in multipliers.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}, it must be above 0")


def batch_norm(eps: float = 1e-5, momentum: float = 0.1) -> Norm:
    """A BatchNorm2d maker. eps belongs to the checkpoint: another value changes the outputs, silently."""
    return lambda channels: nn.BatchNorm2d(channels, eps=eps, momentum=momentum)


def relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def relu6() -> nn.Module:
    return nn.ReLU6(inplace=True)


def hard_swish() -> nn.Module:
    return nn.Hardswish(inplace=True)


def silu() -> nn.Module:
    return nn.SiLU(inplace=True)


class ConvNormAct(nn.Sequential):
    """Conv (no bias, padding that keeps the size at stride 1), norm and, unless None, activation: keys `0`, `1`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        norm: Norm,
        activation: Activation | None,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
        super().__init__(conv, norm(outputs), *([activation()] if activation else []))


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from the channel means: `x * gate(fc2(activation(fc1(mean(x)))))`.

    Args:
        channels: of input and output.
        squeezed: width of the bottleneck.
        gate: activation with values in 0..1.
        activation: of the bottleneck.

    Source: Hu et al. 2018, arXiv:1709.01507, section 3.
    """

    def __init__(self, channels: int, squeezed: int, gate: Activation, activation: Activation = nn.ReLU) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.gate(self.fc2(self.activation(self.fc1(self.avgpool(x)))))
        return x * gate


def stochastic_depth(x: Tensor, drop: float, training: bool) -> Tensor:
    """In training, zero a sample's branch with probability `drop` and scale the others up; in inference, nothing.

    f32[N, ...] -> the same shape. Source: Huang et al. 2016, arXiv:1603.09382, section 3.
    """
    if not training or drop == 0:
        return x
    kept = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device) >= drop
    return x * kept / (1 - drop)


def init_weights(module: nn.Module, linear_std: float = 0.01) -> None:
    """He initialisation (fan out) of convolutions, unit norms, N(0, linear_std^2) classifiers, zero biases.

    torch counts a grouped kernel's fan as if it were dense: a depthwise one would shrink its input by sqrt(channels),
    and an untrained network of many would give zeros.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out")
            part.weight.data *= part.groups**0.5
        elif isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, 0.0, linear_std)
        else:
            continue
        if part.bias is not None:
            nn.init.zeros_(part.bias)
