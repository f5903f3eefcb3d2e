"""Activations that stand alone, Softmax, and the gates that are folded."""

import numpy as np

from tflite_conformance.case import Build, Case
from tflite_conformance.net import Net


def alone(op: str, low: float = -6.0, high: float = 6.0, *bounds: float | None, **attributes: object) -> Build:
    """The operator on a graph input; bounds of None are left out."""

    def build(net: Net) -> str:
        source = net.input(1, 4, 5, 5, low=low, high=high)
        return net.op(op, source, *("" if bound is None else net.constant(bound) for bound in bounds), **attributes)

    return build


def plain(op: str, *shape: int, **attributes: object) -> Build:
    def build(net: Net) -> str:
        return net.op(op, net.plain(*shape, low=-4, high=4), **attributes)

    return build


def computed_bounds(net: Net) -> str:
    return net.op("Clip", net.input(1, 4), net.reshape(net.op("ReduceMin", net.input(1, 4), keepdims=0)))


def silu(net: Net) -> str:
    source = net.conv(net.input(1, 3, 5, 5, low=-4, high=4), 3, 4)
    return net.op("Mul", source, net.op("Sigmoid", source))


def softmax_over_channels(net: Net) -> str:
    """Segmentation: of a channels-last tensor the channels are stored last already."""
    return net.op("Softmax", net.conv(net.input(1, 3, 4, 4, low=-4, high=4), 3, 5), axis=1)


def softmax_over_rows(net: Net) -> str:
    return net.op("Softmax", net.conv(net.input(1, 3, 4, 6, low=-4, high=4), 3, 5), axis=2)


def gate(net: Net) -> str:
    """Squeeze-and-excitation with its HardSigmoid folded: Conv with RELU6, the 1/6 in the Conv behind the product."""
    features = net.conv(net.input(1, 4, 5, 5), 4, 8, 3)
    squeezed = net.conv(net.op("GlobalAveragePool", features), 8, 8)
    opened = net.op("Mul", features, net.op("HardSigmoid", squeezed, alpha=1 / 6, beta=0.5))
    return net.conv(opened, 8, 4)


def open_gate(net: Net) -> tuple[str, str]:
    """A gate that something else reads too stays as it is."""
    squeezed = net.conv(net.input(1, 4, 5, 5), 4, 4)
    opened = net.op("HardSigmoid", squeezed, alpha=1 / 6, beta=0.5)
    return opened, net.conv(net.op("Mul", squeezed, opened), 4, 4)


def slopes(*shape: int) -> Build:
    """A slope per channel, as PyTorch gives them."""

    def build(net: Net) -> str:
        return net.op("PRelu", net.input(1, 4, 5, 5), net.constant(np.linspace(-0.5, 1.5, 4).reshape(shape)))

    return build


TABLE = "int16 kernels interpolate in a table of 513 entries"

CASES = (
    Case("Relu", "alone", alone("Relu")),
    Case("Relu", "another scale behind it", alone("Relu"), ("int8", "int16"), rescale=True),
    Case("Relu", "of what is positive", alone("Relu", 1.0, 3.0)),
    Case("Clip", "Relu6", alone("Clip", -9.0, 9.0, 0.0, 6.0)),
    Case("Clip", "[-1, 1]", alone("Clip", -4.0, 4.0, -1.0, 1.0)),
    Case("Clip", "below only", alone("Clip", -4.0, 4.0, 0.0)),
    Case("Clip", "above only", alone("Clip", -4.0, 4.0, None, 2.0)),
    Case("Clip", "no fused form", alone("Clip", -4.0, 4.0, -0.5, 2.5)),
    Case("Clip", "no bounds", alone("Clip", -4.0, 4.0)),
    Case("Clip", "Relu6, another scale behind it", alone("Clip", -9.0, 9.0, 0.0, 6.0), ("int8", "int16"), rescale=True),
    Case("Clip", "no fused form, another scale", alone("Clip", -4.0, 4.0, -0.5, 2.5), ("int8", "int16"), rescale=True),
    Case("Clip", "computed bounds", computed_bounds, ("float32",), rejected="bounds must be constants"),
    Case("HardSwish", "alone", alone("HardSwish")),
    Case("HardSigmoid", "1/6 and 1/2", alone("HardSigmoid", alpha=1 / 6, beta=0.5)),
    Case("HardSigmoid", "ONNX's own slope", alone("HardSigmoid")),
    Case("HardSigmoid", "a gate", gate, absent=("ADD", "RELU6", "MAXIMUM")),
    Case("HardSigmoid", "a gate with two readers", open_gate),
    Case("HardSigmoid", "falling", alone("HardSigmoid", alpha=-0.2), rejected="alpha must be positive"),
    Case("Sigmoid", "alone", alone("Sigmoid")),
    Case("Sigmoid", "of a plain tensor", plain("Sigmoid", 2, 3, 4)),
    Case("Tanh", "alone", alone("Tanh", -3.0, 3.0), steps16=2, why=TABLE),
    Case("Gelu", "exact", alone("Gelu")),
    Case("Gelu", "by tanh", alone("Gelu", approximate="tanh")),
    Case("LeakyRelu", "default slope", alone("LeakyRelu")),
    Case("LeakyRelu", "slope 0.2", alone("LeakyRelu", alpha=0.2)),
    Case("LeakyRelu", "slope 0.001, which XNNPACK refuses", alone("LeakyRelu", alpha=0.001)),
    Case("LeakyRelu", "slope 0.00001", alone("LeakyRelu", alpha=1e-5)),
    Case("PRelu", "a slope per channel", slopes(4, 1, 1)),
    Case("PRelu", "with a batch axis", slopes(1, 4, 1, 1)),
    Case("Elu", "alone", alone("Elu")),
    Case("Elu", "alpha", alone("Elu", alpha=0.5)),
    Case("Selu", "alone", alone("Selu")),
    Case("Celu", "alone", alone("Celu")),
    Case("Celu", "alpha", alone("Celu", alpha=2.0)),
    Case("Celu", "falling", alone("Celu", alpha=-1.0), rejected="alpha must be positive"),
    Case("Softplus", "alone", alone("Softplus")),
    Case("Softplus", "far from zero", alone("Softplus", -200.0, 200.0)),
    Case("Mish", "alone", alone("Mish")),
    Case("Mish", "far from zero", alone("Mish", -200.0, 200.0)),
    Case("Softmax", "classes", plain("Softmax", 1, 10)),
    Case("Softmax", "attention", plain("Softmax", 1, 2, 5, 5), steps16=2, why=TABLE),
    Case("Softmax", "middle axis", plain("Softmax", 2, 5, 3, axis=1)),
    Case("Softmax", "over channels", softmax_over_channels, absent=("TRANSPOSE",), steps16=3, why=TABLE),
    Case("Softmax", "over rows", softmax_over_rows, steps16=2, why=TABLE),
    Case("LogSoftmax", "classes", plain("LogSoftmax", 1, 10)),
    Case("LogSoftmax", "middle axis", plain("LogSoftmax", 2, 5, 3, axis=1)),
    Case("Mul", "silu", silu, steps16=2, why="three roundings in a row"),
)
