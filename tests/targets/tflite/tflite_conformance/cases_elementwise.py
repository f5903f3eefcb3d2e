"""Operators of two operands: broadcasting, layouts that meet, constants; and the unary ones of float."""

from collections.abc import Callable

from tflite_conformance.case import Build, Case
from tflite_conformance.net import Net

Operand = Callable[[Net], str]


def image(*shape: int, low: float = -1.0, high: float = 1.0) -> Operand:
    return lambda net: net.input(*shape, low=low, high=high)


def plain(*shape: int) -> Operand:
    return lambda net: net.plain(*shape)


def constant(*shape: int, low: float = -1.0, high: float = 1.0) -> Operand:
    return lambda net: net.constant(net.random.uniform(low, high, shape))


def binary(op: str, first: Operand, second: Operand, clamp: bool = False) -> Build:
    def build(net: Net) -> str:
        made = net.op(op, first(net), second(net))
        return net.op("Relu", made) if clamp else made

    return build


def twice(op: str) -> Build:
    def build(net: Net) -> str:
        source = net.input(1, 4, 5, 5)
        return net.op(op, source, source)

    return build


def unary(op: str) -> Build:
    return lambda net: net.op(op, net.input(1, 4, 5, 5, low=0.1, high=3.0))


def power(exponent: float) -> Build:
    return lambda net: net.op("Pow", net.input(1, 4, 5, 5, low=0.5, high=3.0), net.constant(exponent))


def computed_power(net: Net) -> str:
    return net.op("Pow", net.input(1, 4, low=0.5, high=2), net.input(1, 4))


def residual(net: Net) -> str:
    """Both sides lie channels-last: nothing moves."""
    source = net.conv(net.input(1, 3, 6, 6), 3, 4, 3)
    return net.op("Relu", net.op("Add", source, net.conv(source, 4, 4, 3)))


def layouts_collide(net: Net) -> str:
    """A channels-last map and one that lies in ONNX order: one side has to move."""
    return net.op("Add", net.conv(net.input(1, 3, 4, 5), 3, 6), net.plain(1, 6, 4, 5))


def excitation(net: Net) -> str:
    """[N, C, H, W] * [N, C, 1, 1]."""
    features = net.conv(net.input(1, 3, 5, 5), 3, 4)
    return net.op("Mul", features, net.op("Sigmoid", net.op("GlobalAveragePool", features)))


def row_of_channels(net: Net) -> str:
    """[C, 1, 1] as PyTorch writes a scale per channel."""
    return net.op("Mul", net.conv(net.input(1, 3, 5, 5), 3, 4), net.constant(net.random.uniform(1, 2, (4, 1, 1))))


def three(net: Net) -> str:
    return net.op("Min", net.input(1, 4), net.input(1, 4), net.input(1, 4))


def two_constants(net: Net) -> tuple[str, str]:
    return net.op("Add", net.constant([1.0]), net.constant([2.0])), net.op("Relu", net.input(1, 2))


MAP = (1, 4, 5, 5)
NAMES = ("Add", "Sub", "Mul")
EXTREMA = ("Min", "Max")

CASES = (
    *(Case(op, "maps", binary(op, image(*MAP), image(*MAP, high=3))) for op in (*NAMES, *EXTREMA)),
    *(Case(op, "map and scalar", binary(op, image(*MAP), constant())) for op in NAMES),
    *(Case(op, "constant first", binary(op, constant(1, 4, 1, 1), image(*MAP))) for op in (*NAMES, *EXTREMA)),
    *(Case(op, "row of the last axis", binary(op, image(1, 3, 4, 5), constant(5))) for op in NAMES),
    *(Case(op, "map and column of channels", binary(op, image(*MAP), image(1, 4, 1, 1))) for op in NAMES),
    *(Case(op, "lower rank first", binary(op, plain(3, 4), plain(2, 3, 4))) for op in (*NAMES, *EXTREMA)),
    *(Case(op, "both operands widen", binary(op, plain(2, 1, 4), plain(1, 3, 4))) for op in NAMES),
    *(Case(op, "five axes", binary(op, plain(2, 1, 3, 2, 2), plain(1, 3, 1, 2, 2))) for op in (*NAMES, *EXTREMA)),
    *(
        Case(op, "six axes of equal shape", binary(op, plain(2, 1, 3, 2, 2, 2), plain(2, 1, 3, 2, 2, 2)))
        for op in NAMES
    ),
    *(Case(op, "with Relu", binary(op, image(*MAP), image(*MAP), clamp=True), absent=("RELU",)) for op in NAMES),
    *(Case(op, "of one tensor", twice(op)) for op in ("Add", "Mul")),
    *(
        Case(op, "scales differ", binary(op, image(*MAP), image(*MAP, high=3)), ("int8", "int16"), rescale=True)
        for op in EXTREMA
    ),
    Case(
        "Add",
        "residual",
        residual,
        absent=("TRANSPOSE",),
        steps=3,
        steps16=2,
        why="the builtin kernels round three times in a row",
    ),
    Case("Add", "layouts collide", layouts_collide, steps16=2, why="Conv rounds before it"),
    Case("Add", "six axes that widen", binary("Add", plain(1, 1, 1, 2, 1, 2), plain(1, 2, 1, 1, 1, 2))),
    Case(
        "Add",
        "five axes that widen in turn",
        binary("Add", plain(2, 1, 2, 1, 2), plain(1, 2, 1, 2, 1)),
        ("float32",),
        rejected="more than 4 axes",
    ),
    Case("Add", "five axes and a constant", binary("Add", plain(1, 2, 3, 2, 2), constant(2, 1, 2, 2))),
    Case("Add", "two constants", two_constants, ("float32",), rejected="both operands are constants"),
    Case("Mul", "excitation", excitation, absent=("TRANSPOSE",)),
    Case("Mul", "scale per channel", row_of_channels, absent=("TRANSPOSE",)),
    Case("Mul", "product beyond one step", binary("Mul", image(*MAP, high=40), image(*MAP, high=40)), ("int8",)),
    Case("Div", "maps", binary("Div", image(*MAP), image(*MAP, low=1, high=3))),
    Case("Div", "map by scalar", binary("Div", image(*MAP), constant(low=1, high=2))),
    Case("Div", "five axes", binary("Div", plain(2, 1, 3, 2, 2), constant(3, 1, 2, 2, low=1, high=2))),
    Case("Div", "with Relu", binary("Div", image(*MAP), image(*MAP, low=1), clamp=True), absent=("RELU",)),
    Case("Min", "of three", three, ("float32",), rejected="3 operands"),
    *(Case(op, "alone", unary(op)) for op in ("Sqrt", "Exp", "Log", "Abs", "Neg")),
    Case("Pow", "square", power(2.0), absent=("POW",)),
    Case("Pow", "root", power(0.5), absent=("POW",)),
    Case("Pow", "reciprocal root", power(-0.5), absent=("POW",)),
    Case("Pow", "cube", power(3.0)),
    Case("Pow", "computed exponent", computed_power, rejected="one constant"),
)
