"""Conv in its three forms and ConvTranspose: strides, pads, dilations, groups, clamps."""

from tflite_conformance.case import Build, Case
from tflite_conformance.net import Net


def conv(size: int | tuple[int, int], channels: tuple[int, int], kernel: int, **attributes: object) -> Build:
    height, width = size if isinstance(size, tuple) else (size, size)

    def build(net: Net) -> str:
        return net.conv(net.input(1, channels[0], height, width), *channels, kernel, **attributes)

    return build


def clamped(op: str, *bounds: float, group: int = 1) -> Build:
    def build(net: Net) -> str:
        made = net.conv(net.input(1, 4, 6, 6, low=-9, high=9), 4, 4, 3, group=group)
        return net.op(op, made, *(net.constant(bound) for bound in bounds))

    return build


def transposed(size: int, channels: tuple[int, int], kernel: int, clamp: bool = False, **attributes: object) -> Build:
    def build(net: Net) -> str:
        channels_in, channels_out = channels
        weights, bias = net.weights(channels_in, channels_out, kernel, kernel), net.weights(channels_out)
        made = net.op("ConvTranspose", net.input(1, channels_in, size, size + 1), weights, bias, **attributes)
        return net.op("Relu", made) if clamp else made

    return build


def no_bias(net: Net) -> str:
    return net.op("Conv", net.input(1, 3, 5, 5), net.weights(6, 3, 3, 3))


def shared_weights(net: Net) -> tuple[str, str]:
    weights, bias = net.weights(4, 4, 1, 1), net.weights(4)
    first = net.op("Conv", net.input(1, 4, 4, 4), weights, bias)
    return first, net.op("Conv", net.input(1, 4, 4, 4, high=3), weights, bias)


def chain(net: Net) -> str:
    """A depthwise-separable block: no movement between its convolutions."""
    hidden = net.op("Relu", net.conv(net.input(1, 3, 8, 8), 3, 8, 3, strides=[2, 2]))
    hidden = net.op("Relu", net.conv(hidden, 8, 8, 3, group=8))
    return net.conv(hidden, 8, 4)


def computed_weights(net: Net) -> str:
    return net.op("Conv", net.input(1, 2, 5, 5), net.input(4, 2, 3, 3))


def one_dimensional(net: Net) -> str:
    return net.op("Conv", net.input(1, 2, 8), net.weights(4, 2, 3))


def automatic_pads(net: Net) -> str:
    return net.op("Conv", net.input(1, 2, 5, 5), net.weights(4, 2, 3, 3), auto_pad="SAME_UPPER")


def grouped_transposed(net: Net) -> str:
    return net.op(
        "ConvTranspose", net.input(1, 4, 4, 5), net.weights(4, 3, 2, 2), net.weights(6), strides=[2, 2], group=2
    )


def depthwise_transposed(net: Net) -> str:
    options = {"strides": [2, 2], "pads": [1, 1, 1, 1], "group": 6}
    return net.op("ConvTranspose", net.input(1, 6, 4, 5), net.weights(6, 1, 4, 4), net.weights(6), **options)


CASES = (
    Case("Conv", "1x1", conv(5, (3, 8), 1)),
    Case("Conv", "1x1 stride 2, odd", conv(5, (3, 8), 1, strides=[2, 2])),
    Case("Conv", "1x1 stride 2, even", conv(6, (3, 8), 1, strides=[2, 2])),
    Case("Conv", "3x3 is SAME", conv(6, (3, 8), 3), absent=("PAD",)),
    Case("Conv", "3x3 without pads is VALID", conv(6, (3, 8), 3, pads=[0, 0, 0, 0]), absent=("PAD",)),
    Case("Conv", "3x3 stride 2, odd, is SAME", conv(9, (3, 8), 3, strides=[2, 2]), absent=("PAD",)),
    Case("Conv", "3x3 stride 2, even, pads in front", conv(8, (3, 8), 3, strides=[2, 2])),
    Case("Conv", "3x3 stride 2, odd by even", conv((7, 8), (3, 8), 3, strides=[2, 2])),
    Case("Conv", "3x3 stride 2 by 1", conv((8, 7), (3, 4), 3, strides=[2, 1])),
    Case("Conv", "3x3 stride 3", conv(10, (3, 4), 3, strides=[3, 3])),
    Case("Conv", "5x5 stride 2", conv(8, (2, 4), 5, strides=[2, 2])),
    Case("Conv", "7x7 stride 2", conv(14, (3, 4), 7, strides=[2, 2])),
    Case("Conv", "uneven pads", conv(6, (3, 4), 3, pads=[0, 1, 2, 0])),
    Case("Conv", "pads wider than SAME", conv(5, (3, 4), 3, pads=[2, 2, 2, 2])),
    Case("Conv", "dilation 2", conv(8, (3, 4), 3, pads=[2, 2, 2, 2], dilations=[2, 2])),
    Case("Conv", "dilation 2, VALID", conv(8, (3, 4), 3, pads=[0, 0, 0, 0], dilations=[2, 2])),
    Case("Conv", "one input channel", conv(6, (1, 4), 3)),
    Case("Conv", "without bias", no_bias),
    Case("Conv", "weights used twice", shared_weights),
    Case("Conv", "depthwise-separable block", chain, absent=("TRANSPOSE",)),
    Case("Conv", "grouped", conv(6, (4, 8), 3, group=2)),
    Case("Conv", "grouped 1x1, stride 2", conv(7, (6, 6), 1, group=3, strides=[2, 2])),
    Case("Conv", "wide groups", conv(4, (32, 32), 3, group=2)),
    Case("Conv", "narrow groups are dense", conv(6, (16, 8), 3, group=4)),
    Case("Conv", "narrow groups, stride 2, Relu", clamped("Relu", group=2)),
    Case("Conv", "depthwise", conv(6, (8, 8), 3, group=8), absent=("CONV_2D", "PAD")),
    Case("Conv", "depthwise stride 2, even", conv(8, (4, 4), 3, group=4, strides=[2, 2])),
    Case("Conv", "depthwise stride 2, odd", conv(9, (4, 4), 3, group=4, strides=[2, 2])),
    Case("Conv", "depthwise 5x5", conv(7, (4, 4), 5, group=4)),
    Case("Conv", "depthwise dilated", conv(9, (4, 4), 3, group=4, pads=[2, 2, 2, 2], dilations=[2, 2])),
    Case("Conv", "depthwise, two outputs per input", conv(6, (4, 8), 3, group=4)),
    Case("Conv", "with Relu", clamped("Relu"), absent=("RELU",)),
    Case("Conv", "with Relu6", clamped("Clip", 0.0, 6.0), absent=("RELU6",)),
    Case("Conv", "with a clip to [-1, 1]", clamped("Clip", -1.0, 1.0), absent=("RELU_N1_TO_1",)),
    Case("Conv", "with a clip of no fused form", clamped("Clip", -0.5, 2.0)),
    Case("Conv", "depthwise with Relu6", clamped("Clip", 0.0, 6.0, group=4), absent=("RELU6",)),
    Case("Conv", "computed weights", computed_weights, ("float32",)),
    Case("Conv", "one-dimensional", one_dimensional, ("float32",), rejected="1-D convolution"),
    Case("Conv", "auto_pad", automatic_pads, ("float32",), rejected="auto_pad"),
    Case("ConvTranspose", "2x2 stride 2", transposed(4, (3, 5), 2, strides=[2, 2]), absent=("SLICE",)),
    Case("ConvTranspose", "3x3 is SAME", transposed(4, (3, 5), 3, pads=[1, 1, 1, 1]), absent=("SLICE",)),
    Case("ConvTranspose", "4x4 stride 2", transposed(4, (3, 5), 4, strides=[2, 2], pads=[1, 1, 1, 1])),
    Case("ConvTranspose", "3x3 stride 2 is cut", transposed(4, (3, 5), 3, strides=[2, 2], pads=[1, 1, 1, 1])),
    Case(
        "ConvTranspose",
        "output padding inside the last window",
        transposed(4, (3, 5), 3, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    ),
    Case(
        "ConvTranspose",
        "output padding beyond the last window",
        transposed(3, (2, 3), 3, strides=[3, 3], output_padding=[2, 1]),
    ),
    Case("ConvTranspose", "with Relu", transposed(4, (3, 5), 2, clamp=True, strides=[2, 2])),
    Case("ConvTranspose", "grouped", grouped_transposed, ("float32",)),
    Case("ConvTranspose", "depthwise", depthwise_transposed, ("float32",)),
    Case("ConvTranspose", "dilated", transposed(4, (4, 2), 2, dilations=[2, 2])),
    Case(
        "ConvTranspose",
        "dilated, strides",
        transposed(4, (4, 2), 3, dilations=[2, 1], strides=[2, 2], pads=[1, 0, 2, 1]),
    ),
    Case(
        "ConvTranspose",
        "output_shape",
        transposed(4, (4, 2), 2, output_shape=[5, 6]),
        ("float32",),
        rejected="output_shape",
    ),
)
