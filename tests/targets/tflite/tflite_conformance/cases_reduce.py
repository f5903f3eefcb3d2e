"""Reductions, ArgMax, and the normalizations by an image's own statistics."""

import numpy as np

from tflite_conformance.case import Build, Case
from tflite_conformance.net import Net


def reduce(op: str, *axes: int, keep: bool = True, rank: int = 4) -> Build:
    def build(net: Net) -> str:
        source = net.input(1, 4, 5, 6) if rank == 4 else net.plain(2, 3, 4)
        return net.op(op, source, net.integers(*axes), keepdims=int(keep))

    return build


def every_axis(op: str) -> Build:
    return lambda net: net.op(op, net.input(1, 4, 5, 6, low=0), keepdims=1)


def empty_axes(net: Net) -> str:
    return net.op("ReduceMean", net.input(1, 4), net.integers(), noop_with_empty_axes=1)


def arg_max(axis: int, keep: bool, *shape: int, **attributes: object) -> Build:
    return lambda net: net.op("ArgMax", net.input(*shape), axis=axis, keepdims=int(keep), **attributes)


def segmentation(net: Net) -> str:
    return net.op("ArgMax", net.conv(net.input(1, 3, 5, 5), 3, 6), axis=1, keepdims=0)


def layer_norm(axis: int, *shape: int, bias: bool = True, **attributes: object) -> Build:
    def build(net: Net) -> str:
        inner = shape[axis:]
        parameters = [net.constant(net.random.uniform(0.5, 1.5, inner)) for _ in range(1 + bias)]
        return net.op("LayerNormalization", net.plain(*shape), *parameters, axis=axis, **attributes)

    return build


def channels_last_norm(net: Net) -> str:
    """ConvNeXt's: the channels of a convolution's output are stored last, so nothing moves."""
    image = net.op("Transpose", net.conv(net.input(1, 3, 4, 4), 3, 8), perm=[0, 2, 3, 1])
    parameters = [net.constant(net.random.uniform(0.5, 1.5, 8)) for _ in range(2)]
    return net.op("Transpose", net.op("LayerNormalization", image, *parameters), perm=[0, 3, 1, 2])


def instance_norm(*shape: int, **attributes: object) -> Build:
    return lambda net: _norm_of_channels(net, "InstanceNormalization", shape, **attributes)


def group_norm(groups: int, *shape: int) -> Build:
    def build(net: Net) -> str:
        normalized = _norm_of_channels(net, "GroupNormalization", shape, num_groups=groups)
        return net.op("Abs", net.declare(normalized, *shape))

    return build


def _norm_of_channels(net: Net, op: str, shape: tuple[int, ...], **attributes: object) -> str:
    """Scale and bias per channel; a map comes from a convolution, and lies channels-last."""
    channels = shape[1]
    parameters = (net.constant(np.linspace(low, low + 2, channels)) for low in (0.5, -1))
    source = net.conv(net.input(*shape), channels, channels) if len(shape) == 4 else net.plain(*shape)
    return net.op(op, source, *parameters, **attributes)


def norm_with_statistics(net: Net) -> tuple[str, ...]:
    return net.split("LayerNormalization", 3, net.plain(2, 4), net.constant(np.ones(4)), axis=-1)


def computed_scale(net: Net) -> str:
    return net.op("LayerNormalization", net.input(2, 4), net.input(4), axis=-1)


OPS = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")

CASES = (
    *(Case(op, "rows and columns", reduce(op, 2, 3)) for op in OPS),
    *(Case(op, "rows and columns dropped", reduce(op, 2, 3, keep=False)) for op in OPS),
    *(Case(op, "channels of an image", reduce(op, 1)) for op in OPS),
    *(Case(op, "rows dropped", reduce(op, -2, keep=False)) for op in OPS),
    *(Case(op, "last axis of a plain tensor", reduce(op, -1, rank=3)) for op in OPS),
    *(Case(op, "every axis", every_axis(op)) for op in OPS),
    Case("ReduceMean", "another scale behind it", reduce("ReduceMean", 2, 3), ("int8", "int16"), rescale=True),
    Case("ReduceMax", "another scale behind it", reduce("ReduceMax", 2, 3), ("int8", "int16"), rescale=True),
    Case("ReduceMin", "another scale behind it", reduce("ReduceMin", 1), ("int8", "int16"), rescale=True),
    Case("ReduceMean", "no axes", empty_axes, ("float32",), rejected="noop_with_empty_axes"),
    Case("ArgMax", "classes", arg_max(1, False, 2, 10)),
    Case("ArgMax", "kept axis", arg_max(-1, True, 2, 10)),
    Case("ArgMax", "segmentation", segmentation, ("float32",)),
    Case("ArgMax", "rows of an image", arg_max(2, True, 1, 4, 5, 6)),
    Case("ArgMax", "last of equals", arg_max(1, False, 2, 10, select_last_index=1), rejected="select_last_index"),
    Case("LayerNormalization", "last axis", layer_norm(-1, 2, 5, 8)),
    Case("LayerNormalization", "two axes", layer_norm(1, 2, 3, 4)),
    Case("LayerNormalization", "without bias", layer_norm(-1, 2, 8, bias=False)),
    Case("LayerNormalization", "large epsilon", layer_norm(-1, 2, 8, epsilon=0.1)),
    Case("LayerNormalization", "of a convolution", channels_last_norm, absent=("TRANSPOSE",)),
    Case("InstanceNormalization", "of a map", instance_norm(1, 8, 5, 6), absent=("TRANSPOSE",)),
    Case("InstanceNormalization", "of a line", instance_norm(1, 4, 9, epsilon=0.1)),
    Case("GroupNormalization", "of a map", group_norm(2, 1, 8, 5, 6), absent=("TRANSPOSE",)),
    Case("GroupNormalization", "of a map as one group", group_norm(1, 1, 8, 5, 6), absent=("TRANSPOSE",)),
    Case("GroupNormalization", "of a line", group_norm(4, 1, 8, 9)),
    Case("LayerNormalization", "with statistics", norm_with_statistics, rejected="optional outputs"),
    Case("LayerNormalization", "computed scale", computed_scale, rejected="must be constants"),
)
