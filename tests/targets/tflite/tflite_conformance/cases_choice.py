"""Comparisons and Where: what they choose is compared, since a truth value has no distance."""

from tflite_conformance.case import Build, Case
from tflite_conformance.net import Net


def chosen(comparison: str, other: float | None = None) -> Build:
    """Where an activation compares so with another one, or with a number, itself; else a tenth of it."""

    def build(net: Net) -> str:
        source = net.conv(net.input(1, 3, 4, 5), 3, 6)
        beside = net.conv(net.input(1, 3, 4, 5), 3, 6) if other is None else net.constant(other)
        return net.op("Where", net.op(comparison, source, beside), source, net.op("Mul", source, net.constant(0.1)))

    return build


def equal_pixels(net: Net) -> str:
    """Half of the pixels are clipped to zero, which they then equal."""
    source = net.op("Relu", net.input(1, 4, 5, 5))
    return net.op("Where", net.op("Equal", source, net.constant(0.0)), net.constant(7.0), source)


def per_channel(net: Net) -> str:
    """A condition per channel, one constant side, and a map that lies channels-last."""
    source = net.conv(net.input(1, 3, 4, 5), 3, 6)
    mean = net.op("GlobalAveragePool", source)
    return net.op("Where", net.op("Greater", mean, net.constant(0.0)), source, net.constant(-1.0))


def five_axes(net: Net) -> str:
    source = net.plain(1, 2, 3, 2, 2)
    return net.op("Where", net.op("Less", source, net.constant(net.random.normal(size=(3, 1, 2)))), source, source)


def six_axes(net: Net) -> str:
    source = net.plain(2, 2, 2, 2, 2, 2)
    return net.op(
        "Where", net.op("Less", source, net.constant(net.random.normal(size=(2, 1, 2, 1, 2)))), source, source
    )


def integers(net: Net) -> str:
    index = net.op("ArgMax", net.input(1, 4, 5, 5), axis=1)
    return net.op("Where", net.op("Equal", index, net.integers(2)), net.input(1, 1, 5, 5), net.constant(0.0))


CASES = (
    Case("Greater", "maps", chosen("Greater"), absent=("TRANSPOSE",)),
    Case("Greater", "a number", chosen("Greater", 0.1), absent=("TRANSPOSE",)),
    Case("GreaterOrEqual", "a number", chosen("GreaterOrEqual", 0.1)),
    Case("Less", "a number", chosen("Less", -0.1)),
    Case("LessOrEqual", "maps", chosen("LessOrEqual")),
    Case("Less", "five axes that are four", five_axes),
    Case("Less", "six axes", six_axes, rejected="more than 4 axes"),
    Case("Equal", "zeros", equal_pixels),
    Case("Equal", "integers", integers),
    Case("Where", "per channel", per_channel, absent=("TRANSPOSE",)),
)
