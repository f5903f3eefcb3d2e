"""Gemm and MatMul: with constant weights, and between activations."""

from tflite_conformance.case import Build, Case
from tflite_conformance.net import Net


def gemm(
    rows: int, columns_in: int, columns_out: int, bias: bool = True, clamp: bool = False, **attributes: object
) -> Build:
    def build(net: Net) -> str:
        shape = (columns_out, columns_in) if attributes.get("transB") else (columns_in, columns_out)
        biases = [net.weights(columns_out)] if bias else []
        made = net.op("Gemm", net.input(rows, columns_in), net.weights(*shape), *biases, **attributes)
        return net.op("Relu", made) if clamp else made

    return build


def tokens(net: Net) -> str:
    return net.op("MatMul", net.plain(1, 6, 8), net.weights(8, 5))


def pixels(net: Net) -> str:
    """Swin's order: a convolution's [N, C, H, W] transposed to [N, H, W, C] lies that way already."""
    image = net.conv(net.input(1, 3, 4, 4), 3, 8)
    product = net.op("MatMul", net.op("Transpose", image, perm=[0, 2, 3, 1]), net.weights(8, 5))
    return net.reshape(product, 16, 5)  # an output of rank 4 would be brought channels-last


def inner_axis_elsewhere(net: Net) -> str:
    """The columns of a channels-last tensor are stored second to last: it has to move."""
    return net.op("MatMul", net.conv(net.input(1, 3, 4, 5), 3, 6), net.weights(5, 7))


def classifier(net: Net) -> str:
    pooled = net.op("GlobalAveragePool", net.conv(net.input(1, 3, 5, 5), 3, 8, 3))
    flat = net.op("Flatten", pooled)
    return net.op("Gemm", flat, net.weights(10, 8), net.weights(10), transB=1)


def on_map(net: Net) -> str:
    """VGG: the layer's columns follow the map's pixels as they lie."""
    image = net.op("Relu", net.conv(net.input(1, 3, 6, 6), 3, 8, 3))
    pooled = net.op("MaxPool", image, kernel_shape=[2, 2], strides=[2, 2])
    flat = net.op("Flatten", pooled)
    return net.op("Gemm", flat, net.weights(10, 72), net.weights(10), transB=1)


def on_image(net: Net) -> str:
    flat = net.reshape(net.input(1, 3, 4, 4), 1, 48)
    return net.op("Gemm", flat, net.weights(48, 10), net.weights(10))


def on_map_twice(net: Net) -> tuple[str, str]:
    """The flattened map is a result too: it keeps its order."""
    flat = net.op("Flatten", net.conv(net.input(1, 3, 4, 4), 3, 8))
    return net.op("Gemm", flat, net.weights(10, 128), net.weights(10), transB=1), net.op("Relu", flat)


def attention_scores(net: Net) -> str:
    """Q K^T: the transposed factor is passed as it lies."""
    query, key = net.plain(1, 2, 5, 4), net.plain(1, 2, 5, 4)
    scores = net.op("MatMul", query, net.op("Transpose", key, perm=[0, 1, 3, 2]))
    return net.reshape(scores, 2, 5, 5)  # an output of rank 4 would be brought channels-last


def attention_values(net: Net) -> str:
    return net.op("MatMul", net.plain(1, 2, 5, 5, low=0), net.plain(1, 2, 5, 4))


def from_images(net: Net) -> str:
    return net.op("MatMul", net.input(1, 3, 4, 5), net.input(1, 3, 5, 4))


def batched_constant(net: Net) -> str:
    return net.op("MatMul", net.plain(2, 3, 4), net.weights(2, 4, 5))


def broadcast(net: Net) -> str:
    return net.op("MatMul", net.plain(2, 3, 4), net.plain(1, 4, 5))


def clamped_product(net: Net) -> str:
    return net.op("Relu", net.op("MatMul", net.plain(2, 3, 4), net.plain(2, 4, 5)))


def constant_first(net: Net) -> str:
    return net.op("MatMul", net.weights(3, 4), net.input(4, 5))


def constant_rows(net: Net) -> str:
    """A resize of rows: a map that lies channels-last is left where it lies."""
    return net.conv(net.op("MatMul", net.weights(7, 4), net.conv(net.input(1, 3, 4, 5), 3, 6)), 6, 4)


def constant_columns(net: Net) -> str:
    return net.conv(net.op("Relu", net.op("MatMul", net.conv(net.input(1, 3, 4, 5), 3, 6), net.weights(5, 7))), 6, 4)


def constant_queries(net: Net) -> str:
    """DETR: queries that depend on no image, [1, 5, 16]."""
    return net.op("MatMul", net.weights(1, 5, 16), net.plain(1, 16, 9))


def constants_in_front(net: Net) -> str:
    return net.op("MatMul", net.weights(2, 3, 4), net.plain(2, 4, 5))


def five_axes(net: Net) -> str:
    """Windows and heads as axes of their own: Nest."""
    key = net.op("Transpose", net.plain(1, 2, 3, 5, 4), perm=[0, 1, 2, 4, 3])
    return net.op("MatMul", net.plain(1, 2, 3, 5, 4), key)


def five_axes_by_one(net: Net) -> str:
    return net.op("MatMul", net.plain(1, 2, 3, 5, 4), net.plain(4, 6))


def vector(net: Net) -> str:
    return net.op("MatMul", net.input(4), net.input(4))


def computed_weights(net: Net) -> str:
    return net.op("Gemm", net.input(2, 4), net.input(4, 5))


CASES = (
    Case("Gemm", "on a map", on_map, absent=("TRANSPOSE",)),
    Case("Gemm", "on the image itself", on_image, absent=("TRANSPOSE",)),
    Case("Gemm", "on a map that something else reads flattened", on_map_twice, ("float32", "int8")),
    Case("Gemm", "transposed weights", gemm(1, 16, 10, transB=1)),
    Case("Gemm", "plain weights", gemm(1, 16, 10)),
    Case("Gemm", "several rows", gemm(5, 7, 3, transB=1)),
    Case("Gemm", "without bias", gemm(2, 8, 4, bias=False, transB=1)),
    Case("Gemm", "with Relu", gemm(2, 8, 4, clamp=True, transB=1), absent=("RELU",)),
    Case("Gemm", "behind pooling", classifier, absent=("TRANSPOSE",)),
    Case("Gemm", "alpha", gemm(2, 8, 4, transB=1, alpha=0.5), ("float32",), rejected="alpha"),
    Case("Gemm", "computed weights", computed_weights, ("float32",), rejected="must be constants"),
    Case("MatMul", "tokens by constant", tokens),
    Case("MatMul", "pixels by constant", pixels, absent=("TRANSPOSE",)),
    Case("MatMul", "inner axis stored elsewhere", inner_axis_elsewhere),
    Case("MatMul", "attention scores", attention_scores, absent=("TRANSPOSE",), in_float=True),
    Case("MatMul", "attention values", attention_values, in_float=True),
    Case("MatMul", "inputs that lie channels-last", from_images, in_float=True),
    Case("MatMul", "batched constant", batched_constant),
    Case("MatMul", "broadcast over the batch", broadcast, in_float=True),
    Case("MatMul", "activations with Relu", clamped_product, in_float=True),
    Case("MatMul", "constant first factor", constant_first, in_float=True),
    Case("MatMul", "constant rows of a map", constant_rows, absent=("TRANSPOSE",), in_float=True),
    Case("MatMul", "constant columns of a map", constant_columns, ("float32",), absent=("TRANSPOSE",)),
    Case("MatMul", "constant queries", constant_queries, in_float=True),
    Case("MatMul", "constants in front of windows", constants_in_front, ("float32",)),
    Case("MatMul", "five axes", five_axes, ("float32",), absent=("TRANSPOSE",)),
    Case("MatMul", "five axes, one matrix", five_axes_by_one, ("float32",)),
    Case("MatMul", "vectors", vector, ("float32",), rejected="vectors"),
)
