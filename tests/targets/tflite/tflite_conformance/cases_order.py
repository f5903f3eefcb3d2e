"""TopK, CumSum, GatherND, Cast, logic, and the operators that are written out: Sign, Mod, Erf."""

import numpy as np

from tflite_conformance.case import Build, Case
from tflite_conformance.net import Net


def image(net: Net, low: float = -1.0, high: float = 1.0) -> str:
    """A map that lies channels-last."""
    return net.op("Mul", net.op("Relu", net.input(1, 6, 4, 5, low=low, high=high)), net.constant(1.0))


def top(axis: int, largest: int = 1) -> Build:
    def build(net: Net) -> tuple[str, str]:
        values, places = net.split("TopK", 2, net.input(1, 6, 4, 5), net.integers(3), axis=axis, largest=largest)
        return values, places

    return build


def summed(axis: int, **attributes: int) -> Build:
    return lambda net: net.op("CumSum", net.input(1, 6, 4, 5), net.constant(axis, "int64"), **attributes)


def unary(op: str, scale: float = 3.0) -> Build:
    return lambda net: net.op(op, net.input(1, 6, 4, 5, low=-scale, high=scale))


def with_zeros(op: str) -> Build:
    return lambda net: net.op(op, net.op("Sub", net.op("Relu", net.input(1, 6, 4, 5)), net.constant(0.0)))


def modulus(net: Net) -> str:
    return net.op("Mod", net.input(1, 6, 4, 5, low=-5, high=5), net.constant(0.75), fmod=1)


def modulus_of_maps(net: Net) -> str:
    return net.op("Mod", net.input(1, 6, 4, 5, low=-5, high=5), net.input(1, 6, 1, 1, low=0.5, high=1), fmod=1)


def modulus_of_places(net: Net) -> str:
    """CenterNet: the column of a place in a map."""
    place = net.op("ArgMax", net.input(1, 6, 4, 5), axis=1)
    return net.op(
        "Cast",
        net.op(
            "Mod", net.op("Where", net.op("Greater", place, net.integers(3)), place, net.integers(-4)), net.integers(3)
        ),
        to=1,
    )


def picked_by_constants(net: Net) -> str:
    return net.op("GatherND", net.plain(4, 5, 3), net.constant([[0, 1], [3, -1], [2, 2]], "int64"))


def picked_by_what_was_found(net: Net) -> str:
    source = net.plain(4, 5)
    place = net.op("ArgMax", source, axis=1, keepdims=1)
    rows = net.constant(np.arange(4).reshape(4, 1), "int64")
    return net.op("GatherND", source, net.op("Concat", rows, place, axis=1))


def mask(net: Net) -> str:
    """CenterNet: a truth value as a factor."""
    source = net.input(1, 6, 4, 5)
    peaks = net.op("MaxPool", source, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return net.op("Mul", source, net.op("Cast", net.op("Equal", peaks, source), to=1))


def index(net: Net) -> str:
    return net.op("Cast", net.op("ArgMax", net.input(1, 6, 4, 5), axis=1), to=1)


def whole(net: Net) -> str:
    """Towards zero."""
    return net.op("Cast", net.op("Cast", net.input(1, 6, 4, 5, low=-4, high=4), to=7), to=1)


def logic(op: str) -> Build:
    def build(net: Net) -> str:
        source = net.input(1, 6, 4, 5)
        first = net.op("Greater", source, net.constant(-0.3))
        second = [net.op("Less", source, net.constant(0.4))] if op != "Not" else []
        return net.op("Where", net.op(op, first, *second), source, net.constant(7.0))

    return build


CASES = (
    Case("TopK", "channels", top(1)),
    Case("TopK", "columns, smallest", top(3, 0)),
    Case("CumSum", "columns", summed(3)),
    Case("CumSum", "channels, backwards, without itself", summed(-3, reverse=1, exclusive=1), absent=("TRANSPOSE",)),
    Case("GatherND", "constants", picked_by_constants),
    Case("GatherND", "what was found", picked_by_what_was_found),
    Case("Cast", "truth value", mask),
    Case("Cast", "index", index),
    Case("Cast", "towards zero", whole),
    *(Case(op, "of comparisons", logic(op)) for op in ("And", "Or", "Xor", "Not")),
    Case("Sin", "map", unary("Sin")),
    Case("Cos", "map", unary("Cos")),
    Case("Floor", "map", unary("Floor")),
    Case("Ceil", "map", unary("Ceil")),
    Case("Round", "map", unary("Round")),
    Case("Sign", "zeros", with_zeros("Sign")),
    Case("Sign", "map", unary("Sign")),
    Case("Erf", "map", unary("Erf"), absent=("TRANSPOSE",)),
    Case("Mod", "places", modulus_of_places),
    Case("Mod", "a number", modulus),
    Case("Mod", "a number per channel", modulus_of_maps),
    Case("ArgMin", "channels", lambda net: net.op("ArgMin", net.input(1, 6, 4, 5), axis=1)),
    Case("ReduceProd", "pixels", lambda net: net.op("ReduceProd", net.input(1, 6, 2, 2), net.integers(2, 3))),
)
