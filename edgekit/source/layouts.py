"""Checkpoint layouts: other libraries' names for the same tensors."""

import itertools
import re
from pathlib import PurePath

from torch import Tensor

State = dict[str, Tensor]

SAME_ORDER: tuple[tuple[str, frozenset[str]], ...] = (
    ("MobileNet V2 and V3, EfficientNet", frozenset(("features.0.0.weight", "conv_stem.weight"))),
    ("MobileNet V1", frozenset(("conv_stem.weight", "features.init_block.conv.weight"))),
    (
        "EfficientNet and Lite, TensorFlow's padding and epsilon in both",
        frozenset(("conv_stem.weight", "_conv_stem.weight")),
    ),
    ("CIFAR ResNet, option A shortcuts", frozenset(("fc.weight", "linear.weight"))),
)
"""Pairs of layouts with the same tensors in the same order, by a key that only that layout has.

torchvision `features.0.0` and timm `conv_stem`; pytorchcv `features.init_block`; `_conv_stem` of efficientnet_pytorch,
which only ports of TensorFlow's weights have; `linear` as the head of the widely used CIFAR ResNets. Shapes alone are
never enough: ResNet v1 and v1.5, or SENet's two forms, agree in every shape and compute different things, and such
pairs must not be listed here.
"""

DOTTED_DENSE_LAYER = re.compile(r"(\.denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")
"""`norm.1` in torchvision's DenseNet files, of an age when modules could be called so; the module says `norm1`."""

HEADS = ("fc", "classifier", "last_linear")
"""Names of a classifier; `last_linear` in Cadene's pretrainedmodels, whatever the network calls it elsewhere."""

TENSORFLOW_PORT = "tf_"
"""Prefix of timm's files that were ported from TensorFlow: same shapes and names, but other padding and epsilon."""

TIMM_EPSILON = 1e-5
"""BatchNorm's epsilon in timm's MobileNets and EfficientNets; torchvision's MobileNetV3 has 1e-3.

It belongs to the trained weights: with the wrong one MobileNetV3's logits move by 8 % of their deviation.
"""

TIMM_ROOT = ("conv_stem", "bn1", "blocks", "conv_head", "bn2", "classifier")
TIMM_SEPARABLE = ("conv", "conv_dw", "bn1", "se", "conv_pw", "bn2")
TIMM_INVERTED = ("conv_pw", "bn1", "conv_dw", "bn2", "se", "conv_pwl", "bn3")
SQUEEZE_EXCITE = ("conv_reduce", "conv_expand")
PARAMETERS = ("weight", "bias", "running_mean", "running_var")


def rename_by_position(wanted: State, given: State, where: str) -> State | None:
    """`given` under the keys of `wanted`, or None where the layouts are not known to be equal, or differ.

    Known layouts are not enough: the count and the last part of every name must agree as well, and the caller compares
    every shape.

    Args:
        where: the file's name; timm's TensorFlow ports are never matched.
    """
    known = any(_is_pair(pair, wanted, given) for _, pair in SAME_ORDER)
    if not known or PurePath(where).name.startswith(TENSORFLOW_PORT) or len(wanted) != len(given):
        return None
    ordered = in_module_order(given)
    roles, other_roles = ([key.rpartition(".")[2] for key in state] for state in (wanted, ordered))
    return dict(zip(wanted, ordered.values(), strict=True)) if roles == other_roles else None


def rename_dense_layers(given: State) -> State:
    """torchvision's DenseNet files under the names of its module; other layouts as they came."""
    return {DOTTED_DENSE_LAYER.sub(r"\1", key): value for key, value in given.items()}


def rename_head(wanted: State, given: State) -> State:
    """`given` with its classifier named as in `wanted`, where nothing else is named otherwise; else as it came."""
    ours, theirs = wanted.keys() - given.keys(), given.keys() - wanted.keys()
    for head, other in itertools.permutations(HEADS, 2):
        if ours == _head(head) and theirs == _head(other):
            return {head + key.removeprefix(other) if key in theirs else key: value for key, value in given.items()}
    return given


def drop_background(wanted: State, given: State) -> State:
    """`given` without the first of 1001 classes, where `wanted` has the 1000 of ImageNet; else as it came."""
    heads = {key for name in HEADS for key in _head(name) if key in wanted and key in given}
    more = {key for key in heads if wanted[key].shape[:1] == (1000,) and given[key].shape[:1] == (1001,)}
    return {key: value[1:] if key in more else value for key, value in given.items()}


def _head(name: str) -> set[str]:
    return {f"{name}.weight", f"{name}.bias"}


def same_tensor(tensor: Tensor, other: Tensor) -> bool:
    """Equal shapes; or a Linear and the 1x1 convolution that computes the same (timm's MobileNetV3 head)."""
    long, short = sorted((tensor.shape, other.shape), key=len, reverse=True)
    return long == short or (len(long) == 4 and len(short) == 2 and tuple(long) == (*short, 1, 1))


def in_module_order(state: State) -> State:
    """timm's MobileNet and EfficientNet keys in the order of their module; other layouts as they came.

    A .safetensors file stores its tensors by name, so the file's order is not the module's.
    """
    if not is_timm(state):
        return state
    inverted = {key.partition(".conv_pwl.")[0] for key in state if ".conv_pwl." in key}
    return dict(sorted(state.items(), key=lambda item: _timm_place(item[0], inverted)))


def is_timm(state: State) -> bool:
    """Whether the keys are those of timm's MobileNets and EfficientNets."""
    return "conv_stem.weight" in state


def _timm_place(key: str, inverted: set[str]) -> tuple[int, ...]:
    """Where a timm key stands: (part of the network, stage, block, layer, sub-layer, tensor)."""
    *path, tensor = key.split(".")
    stage, block, layer, inner = (*path[1:], *[""] * 4)[:4]
    layers = TIMM_INVERTED if f"{path[0]}.{stage}.{block}" in inverted else TIMM_SEPARABLE
    numbers = [int(part) if part.isdigit() else 0 for part in (stage, block)]
    ranks = [_rank(name, order) for name, order in ((layer, layers), (inner, SQUEEZE_EXCITE), (tensor, PARAMETERS))]
    return (_rank(path[0], TIMM_ROOT), *numbers, *ranks)


def _rank(name: str, order: tuple[str, ...]) -> int:
    return order.index(name) if name in order else len(order)


def _is_pair(pair: frozenset[str], wanted: State, given: State) -> bool:
    ours, theirs = (frozenset(key for key in pair if key in state) for state in (wanted, given))
    return len(ours) == len(theirs) == 1 and ours != theirs
