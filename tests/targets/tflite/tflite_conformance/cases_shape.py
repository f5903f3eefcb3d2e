"""Operators that move or select data."""

from tflite_conformance.case import Build, Case
from tflite_conformance.net import Net


def image(net: Net, channels: int = 8, height: int = 4, width: int = 6) -> str:
    """A convolution's output: stored channels-last."""
    return net.conv(net.input(1, 3, height, width), 3, channels)


def of_image(op: str, *constants: object, **attributes: object) -> Build:
    """The operator on a graph input of rank 4, with integer constants behind it."""

    def build(net: Net) -> str:
        source = net.input(1, 8, 4, 6, low=-1, high=2)
        return net.op(op, source, *(net.constant(c, "int64") for c in constants), **attributes)

    return build


def of_plain(op: str, shape: tuple[int, ...], *constants: object, **attributes: object) -> Build:
    def build(net: Net) -> str:
        source = net.plain(*shape, low=-1, high=2)
        return net.op(op, source, *(net.constant(c, "int64") for c in constants), **attributes)

    return build


def split(sizes: tuple[int, ...], axis: int) -> Build:
    def build(net: Net) -> tuple[str, ...]:
        return net.split("Split", len(sizes), net.input(1, 8, 4, 6), net.integers(*sizes), axis=axis)

    return build


def shuffle(net: Net) -> str:
    """ShuffleNet: groups of channels, stored last, are reshaped and permuted as they lie."""
    grouped = net.op("Transpose", net.reshape(image(net), 1, 2, 4, 4, 6), perm=[0, 2, 1, 3, 4])
    return net.conv(net.reshape(grouped, 1, 8, 4, 6), 8, 4)


def flat_classifier(net: Net) -> str:
    """VGG: flattening [N, C, H, W] in ONNX order needs the rows that ONNX would have: one TRANSPOSE."""
    return net.op("Flatten", image(net, 4, 3, 3))


def to_tokens(net: Net) -> str:
    """ViT: [N, C, H, W] -> [N, C, HW] -> [N, HW, C] lies that way already."""
    return net.op("Transpose", net.reshape(image(net), 1, 8, 24), perm=[0, 2, 1])


def windows(net: Net) -> str:
    """Swin's window partition: six axes, and one real movement."""
    source = net.reshape(net.input(1, 4 * 4 * 3), 1, 2, 2, 2, 2, 3)
    return net.reshape(net.op("Transpose", source, perm=[0, 1, 3, 2, 4, 5]), 4, 4, 3)


def back_and_forth(net: Net) -> str:
    """Two transposes that cancel cost nothing."""
    there = net.op("Transpose", image(net), perm=[0, 2, 3, 1])
    return net.conv(net.op("Transpose", there, perm=[0, 3, 1, 2]), 8, 4)


def concat(*makers: str, axis: int = 1) -> Build:
    def build(net: Net) -> str:
        parts = {
            "image": lambda: image(net),
            "input": lambda: net.input(1, 8, 4, 6, high=3),
            "plain": lambda: net.plain(1, 8, 4, 6),
            "constant": lambda: net.constant(net.random.uniform(-1, 1, (1, 8, 4, 6))),
            "relu": lambda: net.op("Relu", image(net)),
        }
        return net.op("Concat", *(parts[maker]() for maker in makers), axis=axis)

    return build


def pooled_concat(net: Net) -> str:
    """What is concatenated from ReLUs is still not negative: its pooling may pad with zeros."""
    joined = concat("relu", "relu")(net)
    assert isinstance(joined, str)
    return net.op("MaxPool", joined, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])


def slice_(starts: object, ends: object, axes: object, steps: object = None, plain: tuple[int, ...] = ()) -> Build:
    constants = [starts, ends, axes] if steps is None else [starts, ends, axes, steps]
    return of_plain("Slice", plain, *constants) if plain else of_image("Slice", *constants)


def computed_slice(net: Net) -> str:
    return net.op("Slice", net.input(4, 2), net.op("Cast", net.input(1), to=7), net.integers(4), net.integers(0))


def computed_gather(net: Net) -> str:
    return net.op("Gather", net.input(4, 2), net.op("Cast", net.input(1), to=7))


def gather(index: object, axis: int, plain: tuple[int, ...] = ()) -> Build:
    return of_plain("Gather", plain, index, axis=axis) if plain else of_image("Gather", index, axis=axis)


def pad(amounts: list[int], value: float | None = None, plain: tuple[int, ...] = (), **attributes: object) -> Build:
    def build(net: Net) -> str:
        source = net.plain(*plain) if plain else net.input(1, 8, 4, 6, low=-1, high=2)
        values = [] if value is None else [net.constant(value)]
        return net.op("Pad", source, net.integers(*amounts), *values, **attributes)

    return build


def padded_axes(net: Net) -> str:
    return net.op("Pad", net.input(1, 8, 4, 6), net.integers(1, 2), "", net.integers(3))


def identity_between(net: Net) -> str:
    return net.conv(net.op("Identity", image(net)), 8, 4)


def float_inside(net: Net) -> str:
    """Exp has no integer kernel: it computes in float between DEQUANTIZE and QUANTIZE."""
    return net.op("Relu", net.op("Exp", net.op("Relu", net.input(1, 4, 5, 5))))


INTEGER = ("int8", "int16")
ROUNDED = "two convolutions round"

CASES = (
    Case("Reshape", "rows", of_plain("Reshape", (2, 6, 4), [3, 16])),
    Case("Reshape", "channels-last to rows", of_image("Reshape", [1, 32, 6])),
    Case("Reshape", "channel groups", of_image("Reshape", [1, 2, 4, 4, 6])),
    Case("Reshape", "channel shuffle", shuffle),
    Case("Reshape", "to tokens", to_tokens, absent=("TRANSPOSE",)),
    Case("Reshape", "windows", windows),
    Case("Reshape", "another scale behind it", of_plain("Reshape", (2, 6, 4), [3, 16]), INTEGER, rescale=True),
    Case("Flatten", "channels-last", flat_classifier),
    Case("Flatten", "one pixel", lambda net: net.op("Flatten", image(net, 8, 1, 1)), absent=("TRANSPOSE",)),
    Case("Flatten", "axis 2", of_plain("Flatten", (2, 3, 4), axis=2)),
    Case("Squeeze", "pixel", lambda net: net.op("Squeeze", image(net, 8, 1, 1), net.integers(2, 3))),
    Case("Squeeze", "batch of an image", of_image("Squeeze", [0])),
    Case("Unsqueeze", "batch", of_plain("Unsqueeze", (3, 4), [0])),
    Case("Unsqueeze", "to an image", of_plain("Unsqueeze", (2, 5), [2, 3])),
    Case("Identity", "between convolutions", identity_between, absent=("TRANSPOSE",), steps16=2, why=ROUNDED),
    Case("Identity", "another scale behind it", of_image("Identity"), INTEGER, rescale=True),
    Case("Transpose", "to channels-last", lambda net: net.op("Transpose", image(net), perm=[0, 2, 3, 1])),
    Case("Transpose", "reversed", of_plain("Transpose", (2, 3, 4))),
    Case("Transpose", "back and forth", back_and_forth, absent=("TRANSPOSE",), steps16=2, why=ROUNDED),
    Case("Transpose", "five axes", of_plain("Transpose", (2, 3, 2, 2, 3), perm=[0, 3, 1, 4, 2])),
    Case("Transpose", "another scale behind it", of_plain("Transpose", (2, 3, 4)), INTEGER, rescale=True),
    Case("Concat", "channels", concat("image", "image"), absent=("TRANSPOSE",)),
    Case("Concat", "rows", concat("image", "input", axis=2), absent=("TRANSPOSE",)),
    Case("Concat", "last axis, counted from the end", concat("plain", "plain", axis=-1)),
    Case("Concat", "layouts collide", concat("image", "input", "plain")),
    Case("Concat", "of more than XNNPACK takes", concat(*["image", "input", "relu"] * 4), absent=("TRANSPOSE",)),
    Case("Concat", "with a constant", concat("image", "constant")),
    Case("Concat", "scales differ", concat("image", "input", "constant"), INTEGER, rescale=True),
    Case("Concat", "of ReLUs, pooled", pooled_concat, absent=("SLICE",)),
    Case("Split", "channels", split((3, 5), 1), absent=("TRANSPOSE",)),
    Case("Split", "planes of four channels", split((4, 4), 1), INTEGER),
    Case("Split", "rows", split((1, 2, 1), 2)),
    Case("Split", "another scale behind each", split((3, 5), 1), INTEGER, rescale=True),
    Case("Slice", "channels", slice_([2], [6], [1]), absent=("TRANSPOSE",)),
    Case("Slice", "from the end", slice_([-3], [9999], [3])),
    Case("Slice", "two axes", slice_([1, 2], [3, -1], [2, 3])),
    Case("Slice", "every second column", slice_([1], [6], [3], [2])),
    Case("Slice", "every second pixel", slice_([0, 1], [4, 6], [2, 3], [2, 2])),
    Case("Slice", "every second pixel of all", slice_([0, 0], [9999, 9999], [2, 3], [2, 2])),
    Case("Slice", "every second channel", slice_([0], [9999], [1], [2])),
    Case("Slice", "backwards", slice_([-1], [-9999], [3], [-1])),
    Case("Slice", "backwards by two to the first", slice_([5], [-9999], [3], [-2])),
    Case("Slice", "five axes", slice_([1], [3], [3], plain=(2, 2, 2, 3, 2))),
    Case("Slice", "five axes, steps", slice_([0], [3], [3], [2], plain=(2, 2, 2, 3, 2))),
    Case("Slice", "another scale behind it", slice_([2], [6], [1]), INTEGER, rescale=True),
    Case("Slice", "computed starts", computed_slice, ("float32",), rejected="must be constants"),
    Case("Gather", "one channel", gather(3, 1)),
    Case("Gather", "a run of channels", gather([2, 3, 4], 1), absent=("GATHER",)),
    Case("Gather", "channels in another order", gather([5, 0, 3, -1], 1)),
    Case("Gather", "a table of rows", gather([[0, 2], [1, 0]], 0, (3, 4))),
    Case("Gather", "one row", gather(-1, 1, (2, 3, 4))),
    Case("Gather", "another scale behind it", gather([5, 0, 3, -1], 1), INTEGER, rescale=True),
    Case("Gather", "computed indices", computed_gather, ("float32",)),
    Case("Gather", "a few runs", of_plain("Gather", (3, 9, 4), [0, 1, 2, 6, 7, 1], axis=1), absent=("GATHER",)),
    Case(
        "Slice",
        "strided tokens",
        of_plain("Slice", (1, 7, 7, 4), [0, 0], [7, 7], [1, 2], [2, 2]),
        ("float32", "int8"),
        absent=("STRIDED_SLICE",),
    ),
    Case(
        "Slice",
        "every third row of tokens",
        of_plain("Slice", (2, 9, 4), [1], [9], [1], [3]),
        ("float32", "int8"),
        absent=("STRIDED_SLICE",),
    ),
    Case("Pad", "rows and columns", pad([0, 0, 1, 2, 0, 0, 0, 1])),
    Case("Pad", "channels", pad([0, 2, 0, 0, 0, 1, 0, 0])),
    Case("Pad", "with the lowest number", pad([0, 0, 1, 2, 0, 0, 0, 1], -3e38), ("float32",)),
    Case("Pad", "with a value", pad([0, 0, 1, 2, 0, 0, 0, 1], 0.5), in_float=True),
    Case("Pad", "named axes", padded_axes),
    Case("Pad", "five axes", pad([0, 1, 0, 0, 2, 0, 0, 0, 1, 0], plain=(1, 2, 2, 2, 2))),
    Case("Pad", "another scale behind it", pad([0, 0, 1, 2, 0, 0, 0, 1]), INTEGER, rescale=True),
    Case("Pad", "reflected", pad([0, 0, 2, 1, 0, 0, 1, 3], mode="reflect"), absent=("TRANSPOSE", "GATHER")),
    Case("Pad", "reflected by more than four", pad([0, 0, 3, 0, 0, 0, 3, 5], mode="reflect")),
    Case("Pad", "the edge repeated", pad([0, 0, 2, 1, 0, 0, 1, 0], mode="edge"), absent=("TRANSPOSE", "GATHER")),
    Case("Pad", "wrapped", pad([0, 0, 1, 2, 0, 0, 2, 1], mode="wrap")),
    Case("Pad", "copies, another scale behind it", pad([0, 0, 1, 1, 0, 0, 1, 1], mode="edge"), INTEGER, rescale=True),
    Case("Pad", "negative", pad([0, 0, -1, 2, 0, 0, 1, -1]), ("float32",)),
    Case(
        "Pad", "ones behind tokens", pad([0, 0, 0, 1], 1.0, (2, 3), mode="constant"), absent=("PADV2",), in_float=True
    ),
    Case("QuantizeLinear", "behind a float operator", float_inside, INTEGER, in_float=True),
    Case("DequantizeLinear", "before a float operator", float_inside, INTEGER, in_float=True),
)
