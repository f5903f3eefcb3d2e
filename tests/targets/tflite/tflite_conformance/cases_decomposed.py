"""Operators that are written as others before they are lowered: they compute in float."""

import numpy as np

from tflite_conformance.case import Build, Case
from tflite_conformance.net import Net

FLOAT = ("float32",)
REFUSED = ("GATHER",)


def recurrent(op: str, gates: int, outputs: int, directions: str, steps: int = 4, **attributes: int) -> Build:
    """Sequences of 3 images, 5 numbers each step, a state of 6; with `first`, a state to begin with."""

    def build(net: Net) -> tuple[str, ...]:
        count, hidden = 2 if directions == "bidirectional" else 1, 6
        weights = net.weights(count, gates * hidden, 5), net.weights(count, gates * hidden, hidden)
        operands = [net.plain(steps, 3, 5), *weights, net.weights(count, 2 * gates * hidden)]
        options = dict(attributes)
        if options.pop("first", 0):
            operands += ["", *(net.plain(count, 3, hidden) for _ in range(outputs - 1))]
        return net.split(op, outputs, *operands, hidden_size=hidden, direction=directions, **options)

    return build


def only_the_end(net: Net) -> str:
    """A classifier of sequences reads the last state alone."""
    _, state, _ = recurrent("LSTM", 4, 3, "forward")(net)
    return net.op("Relu", state)


def warp(**attributes: object) -> Build:
    """Places inside and outside of the map."""

    def build(net: Net) -> str:
        grid = net.constant(net.random.uniform(-1.3, 1.3, (1, 4, 6, 2)))
        return net.op("GridSample", net.conv(net.input(1, 3, 5, 7), 3, 4), grid, **attributes)

    return build


def flow(net: Net) -> str:
    return net.op("GridSample", net.input(1, 3, 5, 7), net.plain(1, 4, 6, 2))


def over_depth(kernel: tuple[int, int, int], **attributes: object) -> Build:
    def build(net: Net) -> str:
        source = net.plain(1, 4, 5, 6, 7)
        group = int(str(attributes.get("group", 1)))
        return net.op("Conv", source, net.weights(6, 4 // group, *kernel), net.weights(6), **attributes)

    return build


def correlation(net: Net) -> str:
    """SiamFC: one map is the filter of another."""
    return net.op("Conv", net.input(1, 4, 7, 6), net.plain(4, 1, 3, 3), group=4, pads=[1, 1, 1, 1])


def computed_weights(net: Net) -> str:
    source = net.input(1, 4, 7, 6)
    scaled = net.op("Mul", net.weights(6, 4, 3, 3), net.op("ReduceMean", source, keepdims=1))
    return net.op("Conv", source, scaled, net.weights(6), strides=[2, 2])


def unpooled(ties: bool) -> Build:
    def build(net: Net) -> str:
        source = net.input(1, 4, 6, 8)
        source = net.op("Relu", source) if ties else source
        values, places = net.split("MaxPool", 2, source, kernel_shape=[2, 2], strides=[2, 2])
        changed = net.op("Add", values, net.constant(0.5))
        result = net.op("MaxUnpool", changed, places, kernel_shape=[2, 2], strides=[2, 2])
        return net.op("Relu", net.declare(result, 1, 4, 6, 8))

    return build


def assigned(places: object, *updates: int) -> Build:
    """A part of [4, 5, 3] is written."""

    def build(net: Net) -> str:
        return net.op("ScatterND", net.plain(4, 5, 3), net.constant(places, "int64"), net.plain(*updates))

    return build


CASES = (
    Case("LSTM", "forward", recurrent("LSTM", 4, 3, "forward"), FLOAT, absent=REFUSED),
    Case("LSTM", "both directions, a first state", recurrent("LSTM", 4, 3, "bidirectional", first=1), FLOAT),
    Case("LSTM", "backwards", recurrent("LSTM", 4, 3, "reverse"), FLOAT),
    Case("LSTM", "only the end", only_the_end, FLOAT),
    Case("GRU", "as in PyTorch", recurrent("GRU", 3, 2, "bidirectional", linear_before_reset=1), FLOAT),
    Case(
        "GRU", "as in PyTorch, a first state", recurrent("GRU", 3, 2, "forward", linear_before_reset=1, first=1), FLOAT
    ),
    Case("GRU", "reset before the product", recurrent("GRU", 3, 2, "forward"), FLOAT),
    Case("GRU", "reset before the product, a first state", recurrent("GRU", 3, 2, "reverse", first=1), FLOAT),
    Case("LSTM", "clipped", recurrent("LSTM", 4, 3, "forward", clip=1.0), FLOAT, rejected="fixed length"),
    Case("GridSample", "zeros outside", warp(mode="linear"), FLOAT, absent=("TRANSPOSE",)),
    Case("GridSample", "the border outside", warp(mode="linear", padding_mode="border", align_corners=1), FLOAT),
    Case("GridSample", "reflections outside", warp(mode="linear", padding_mode="reflection"), FLOAT),
    Case("GridSample", "reflections of corners", warp(padding_mode="reflection", align_corners=1), FLOAT),
    Case("GridSample", "nearest", warp(mode="nearest"), FLOAT),
    Case("GridSample", "computed", flow, FLOAT, rejected="depends on no image"),
    Case("Conv", "over depth", over_depth((3, 3, 3), pads=[1] * 6), FLOAT),
    Case("Conv", "over depth, strides", over_depth((3, 2, 3), strides=[2, 1, 2], pads=[0, 1, 1, 1, 0, 1]), FLOAT),
    Case("Conv", "over depth, dilated groups", over_depth((2, 3, 1), dilations=[2, 1, 1], group=2), FLOAT),
    Case("Conv", "correlation", correlation, FLOAT),
    Case("Conv", "weights that depend on the image", computed_weights, FLOAT),
    Case("MaxUnpool", "places of a pool", unpooled(False), FLOAT),
    Case("MaxUnpool", "first of equals", unpooled(True), FLOAT),
    Case("ScatterND", "rows", assigned([[1], [2]], 2, 5, 3), FLOAT, absent=REFUSED),
    Case(
        "ScatterND", "columns", assigned([[[r, c] for c in (1, 2)] for r in range(4)], 4, 2, 3), FLOAT, absent=REFUSED
    ),
    Case("ScatterND", "scattered", assigned(np.argwhere(np.ones((4, 5, 3)))[::2], 30), FLOAT),
)
