"""Pools: whose padding counts, whose wins, and windows that reach over the edge (ceil_mode)."""

from tflite_conformance.case import Build, Case
from tflite_conformance.net import Net


def pool(
    op: str, size: int | tuple[int, int], kernel: int, stride: int = 1, pad: int = 0, **attributes: object
) -> Build:
    height, width = size if isinstance(size, tuple) else (size, size)
    attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4, **attributes}

    def build(net: Net) -> str:
        return net.op(op, net.input(1, 4, height, width, low=-3, high=-1), **attributes)

    return build


def behind_relu(net: Net) -> str:
    """ResNet's stem: zero padding cannot win behind a ReLU, so that one PAD does."""
    source = net.op("Relu", net.conv(net.input(1, 3, 8, 8), 3, 4, 3))
    return net.op("MaxPool", source, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])


def with_relu(op: str) -> Build:
    def build(net: Net) -> str:
        return net.op("Relu", net.op(op, net.input(1, 4, 6, 6, low=-0.1), kernel_shape=[2, 2], strides=[2, 2]))

    return build


def plane(op: str, size: tuple[int, int]) -> Build:
    def build(net: Net) -> str:
        return net.op(op, net.input(1, 6, *size))

    return build


def one_dimensional(op: str) -> Build:
    def build(net: Net) -> str:
        return net.op(op, net.input(1, 4, 8), kernel_shape=[2])

    return build


INCLUDED = {"count_include_pad": 1}
CEIL = {"ceil_mode": 1}

CASES = (
    Case("MaxPool", "2x2 stride 2", pool("MaxPool", 6, 2, 2)),
    Case("MaxPool", "2x2 stride 2, odd", pool("MaxPool", 7, 2, 2)),
    Case("MaxPool", "2x2 stride 2, odd, ceil_mode", pool("MaxPool", 7, 2, 2, **CEIL), absent=("CONCATENATION",)),
    Case("MaxPool", "3x3 stride 2, even, pads in front", pool("MaxPool", 8, 3, 2, 1)),
    Case("MaxPool", "3x3 stride 2, odd, is SAME", pool("MaxPool", 9, 3, 2, 1), absent=("CONCATENATION", "PAD")),
    Case("MaxPool", "3x3 stride 2, ceil_mode", pool("MaxPool", 8, 3, 2, **CEIL)),
    Case("MaxPool", "3x3 stride 2, pads and ceil_mode", pool("MaxPool", (8, 9), 3, 2, 1, **CEIL)),
    Case("MaxPool", "3x3 stride 1", pool("MaxPool", 5, 3, 1, 1)),
    Case("MaxPool", "uneven pads", pool("MaxPool", 6, 3, 2, pads=[0, 1, 1, 0])),
    Case("MaxPool", "pads as wide as its reach", pool("MaxPool", (6, 5), 5, 2, pads=[4, 3, 4, 4])),
    Case("MaxPool", "behind Relu", behind_relu, absent=("CONCATENATION",)),
    Case("MaxPool", "with Relu", with_relu("MaxPool")),
    Case("MaxPool", "another scale behind it", pool("MaxPool", 8, 3, 2, 1), ("int8", "int16"), rescale=True),
    Case("MaxPool", "dilated", pool("MaxPool", 8, 3, dilations=[2, 2]), ("float32",), rejected="dilated"),
    Case(
        "MaxPool",
        "auto_pad",
        pool("MaxPool", 8, 3, 2, auto_pad="SAME_UPPER", pads=[0, 0, 0, 0]),
        ("float32",),
        rejected="auto_pad",
    ),
    Case("MaxPool", "one-dimensional", one_dimensional("MaxPool"), ("float32",), rejected="1-D pooling"),
    Case("AveragePool", "2x2 stride 2", pool("AveragePool", 6, 2, 2)),
    Case(
        "AveragePool",
        "in int8, which XNNPACK refuses",
        pool("AveragePool", 6, 2),
        ("int8",),
        absent=("AVERAGE_POOL_2D",),
    ),
    Case("AveragePool", "2x2 stride 2, odd", pool("AveragePool", 7, 2, 2)),
    Case(
        "AveragePool",
        "2x2 stride 2, odd, ceil_mode",
        pool("AveragePool", 7, 2, 2, **CEIL),
        absent=("PAD", "MUL"),
        in_float=True,
    ),
    Case("AveragePool", "3x3 stride 1 is SAME", pool("AveragePool", 6, 3, 1, 1), absent=("PAD", "MUL"), in_float=True),
    Case("AveragePool", "padding counts", pool("AveragePool", 6, 3, 1, 1, **INCLUDED), absent=("MUL",)),
    Case("AveragePool", "padding counts, stride 2", pool("AveragePool", 8, 3, 2, 1, **INCLUDED), absent=("MUL",)),
    Case(
        "AveragePool",
        "padding counts, ceil_mode beyond it",
        pool("AveragePool", 8, 3, 2, 1, **INCLUDED, **CEIL),
        in_float=True,
    ),
    Case("AveragePool", "uneven padding left out", pool("AveragePool", 8, 3, 2, 1), in_float=True),
    Case(
        "AveragePool",
        "uneven pads, ceil_mode",
        pool("AveragePool", (7, 8), 3, 2, pads=[1, 0, 0, 1], **CEIL),
        in_float=True,
    ),
    Case(
        "AveragePool",
        "with Relu",
        with_relu("AveragePool"),
        steps=2,
        why="the pool rounds in its own scale, wider than the output's",
    ),
    Case("AveragePool", "another scale behind it", pool("AveragePool", 6, 2, 2), ("int8", "int16"), rescale=True),
    Case("AveragePool", "one-dimensional", one_dimensional("AveragePool"), ("float32",), rejected="1-D pooling"),
    Case("GlobalAveragePool", "7x7", plane("GlobalAveragePool", (7, 7))),
    Case("GlobalAveragePool", "4x5", plane("GlobalAveragePool", (4, 5))),
    Case(
        "GlobalAveragePool",
        "another scale behind it",
        plane("GlobalAveragePool", (4, 5)),
        ("int8", "int16"),
        rescale=True,
    ),
    Case("GlobalMaxPool", "7x7", plane("GlobalMaxPool", (7, 7))),
    Case(
        "GlobalMaxPool", "4x5, another scale behind it", plane("GlobalMaxPool", (4, 5)), ("int8", "int16"), rescale=True
    ),
)
