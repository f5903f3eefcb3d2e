"""Random small graphs: chains and branches of what vision models are made of, in every spelling that a pass knows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from hypothesis import strategies as st
from pass_graphs import Graph

Draw = Callable[[st.SearchStrategy], Any]


@dataclass(frozen=True)
class Value:
    """A name in the graph and its shape."""

    name: str
    shape: tuple[int, ...]


@st.composite
def random_graphs(draw: Draw) -> ir.Model:
    """A model of one image input, 2 to 9 steps, one or two outputs; a step reads the last value or any earlier one."""
    g = Graph(seed=draw(st.integers(0, 1000)))
    shape = (1, draw(st.sampled_from([2, 4])), *draw(st.sampled_from([(5, 5), (6, 4)])))
    values = [Value(g.input(*shape), shape)]
    for _ in range(draw(st.integers(2, 9))):
        source = values[-1] if draw(st.integers(0, 3)) else draw(st.sampled_from(values))
        steps = ANY_STEPS + {4: MAP_STEPS, 2: ROW_STEPS}.get(len(source.shape), [])
        values.append(draw(st.sampled_from(steps))(g, draw, source, values))
    computed = [value.name for value in values[1:]]
    extra = [draw(st.sampled_from(computed))] if draw(st.booleans()) else []
    return g.model(*dict.fromkeys([computed[-1], *extra]))


# -- maps f32[1,C,H,W] -----------------------------------------------------------------------------------------------


def _windowed(size: int, kernel: int, stride: int, pads: int) -> int:
    return (size + pads - kernel) // stride + 1


def conv(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    _, channels, height, width = x.shape
    kernel = draw(st.sampled_from([1, 3])) if min(height, width) >= 3 else 1
    out, stride = draw(st.sampled_from([2, 4])), draw(st.sampled_from([1, 2]))
    group = draw(st.sampled_from([1, 2])) if channels % 2 == 0 else 1
    attributes: dict[str, Any] = {"group": group, "strides": [stride] * 2, "bias": draw(st.booleans())}
    mode = draw(st.sampled_from(["none", "pads", "SAME_UPPER", "SAME_LOWER"]))
    pads = [0, 0, 0, 0]
    if mode.startswith("SAME"):
        attributes["auto_pad"] = mode
        sizes = [-(-height // stride), -(-width // stride)]
    else:
        pads = [1, 0, 1, 1] if mode == "pads" else pads
        attributes |= {"pads": pads} if mode == "pads" else {}
        sizes = [_windowed(s, kernel, stride, pads[i] + pads[i + 2]) for i, s in enumerate((height, width))]
    return Value(g.conv(x.name, channels, out, kernel, **attributes), (1, out, *sizes))


def batch_norm(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    return Value(g.batch_norm(x.name, x.shape[1]), x.shape)


def group_norm(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    groups = draw(st.sampled_from([size for size in (1, 2, 3) if x.shape[1] % size == 0]))
    rows = g.op("Reshape", x.name, g.integers(1, groups, -1))
    norm = g.op("InstanceNormalization", rows, g.weights(groups), g.weights(groups), epsilon=0.1)
    return Value(g.op("Reshape", norm, g.integers(*x.shape)), x.shape)


def per_channel(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    shape = draw(st.sampled_from([(x.shape[1], 1, 1), (1, x.shape[1], 1, 1), (x.shape[3],), (1, 1, 1, 1)]))
    return _arithmetic(g, draw, x, g.random.uniform(0.5, 1.5, shape))


def pad(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    top, right = draw(st.sampled_from([(1, 0), (1, 1), (0, 0)]))
    padded = g.op("Pad", x.name, g.integers(0, 0, top, 0, 0, 0, 0, right))
    return Value(padded, (*x.shape[:2], x.shape[2] + top, x.shape[3] + right))


def crop(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    """A map without its first row, or without its last column, often one that was framed before."""
    framed = conv(g, draw, pad(g, draw, x, values), values) if draw(st.booleans()) else pad(g, draw, x, values)
    axis = draw(st.sampled_from([2, 3]))
    if framed.shape[axis] < 2:
        return framed
    first, last = (1, 99) if axis == 2 else (0, -1)
    kept = g.op("Slice", framed.name, g.integers(first), g.integers(last), g.integers(axis))
    return Value(kept, tuple(size - (i == axis) for i, size in enumerate(framed.shape)))


def pool(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    kernel = draw(st.sampled_from([2, 3])) if min(x.shape[2:]) >= 3 else 1
    padded = int(kernel > 1 and draw(st.booleans()))
    over = int(kernel > 1 and draw(st.sampled_from([True, True, False])))
    attributes = {"kernel_shape": [kernel] * 2, "pads": [padded, 0, 0, padded], "strides": [2, 1], "ceil_mode": over}
    if draw(st.booleans()):
        result = g.op("MaxPool", x.name, **attributes)
    else:
        counts = over or draw(st.sampled_from([0, 1]))
        result = g.op("AveragePool", x.name, **attributes, count_include_pad=counts)
    rows, columns = x.shape[2] + over, x.shape[3]  # one row more is what a last window may hang over by
    height, width = _windowed(rows, kernel, 2, padded), _windowed(columns, kernel, 1, padded)
    return Value(result, (*x.shape[:2], height, width))


def mean(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    keepdims, axes = draw(st.sampled_from([0, 1])), draw(st.sampled_from([(2, 3), (-1, -2)]))
    if draw(st.booleans()):
        return Value(g.op("AveragePool", x.name, kernel_shape=list(x.shape[2:])), (*x.shape[:2], 1, 1))
    result = g.op("ReduceMean", x.name, g.integers(*axes), keepdims=keepdims)
    return Value(result, (*x.shape[:2], 1, 1) if keepdims else x.shape[:2])


def squeeze_and_excite(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    squeezed, channels = g.op("GlobalAveragePool", x.name), x.shape[1]
    if draw(st.booleans()):
        gate = _hard_sigmoid(g, g.conv(squeezed, channels, channels), draw(st.booleans()))
    else:  # by a convolution over the line of channels
        line = g.op("Conv", g.op("Reshape", squeezed, g.integers(1, 1, -1)), g.weights(1, 1, 3), pads=[1, 1])
        gate = g.op("Reshape", g.op("Sigmoid", line), g.integers(1, -1, 1, 1))
    if draw(st.booleans()):
        gate = g.op("Expand", gate, g.integers(*x.shape))
    return Value(g.op("Mul", x.name, gate), x.shape)


def concat(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    fits = [value for value in values if len(value.shape) == 4 and value.shape[2:] == x.shape[2:]]
    other = draw(st.sampled_from(fits))
    joined = g.op("Concat", x.name, other.name, axis=draw(st.sampled_from([1, -3])))
    return Value(joined, (1, x.shape[1] + other.shape[1], *x.shape[2:]))


def pixel_shuffled(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    """Blocks of pixels from channels that a convolution makes, maybe through something."""
    batch, channels, height, width = x.shape
    made = Value(g.conv(x.name, channels, 4), (batch, 4, height, width))
    made = bounded(g, draw, made, values) if draw(st.booleans()) else made
    y = g.op("DepthToSpace", made.name, blocksize=2, mode=draw(st.sampled_from(["CRD", "DCR"])))
    return Value(y, (batch, 1, 2 * height, 2 * width))


def shuffled_conv(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    """Channels out of their order, by a shuffle or a selection, maybe joined with others, then a convolution."""
    batch, channels, *pixels = x.shape
    if channels % 2 == 0 and draw(st.booleans()):
        split = g.op("Reshape", x.name, g.integers(batch, 2, channels // 2, *pixels))
        y = Value(g.op("Reshape", g.op("Transpose", split, perm=[0, 2, 1, 3, 4]), g.integers(*x.shape)), x.shape)
    else:
        chosen = draw(st.lists(st.integers(0, channels - 1), min_size=1, max_size=4))
        y = Value(g.op("Gather", x.name, g.integers(*chosen), axis=1), (batch, len(chosen), *pixels))
    y = concat(g, draw, y, values) if draw(st.booleans()) else y
    return conv(g, draw, bounded(g, draw, y, values) if draw(st.booleans()) else y, values)


def dense_block(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    """Every layer reads all earlier results, joined anew."""
    made = [x]
    for _ in range(draw(st.integers(2, 3))):
        joined = (
            made[0]
            if len(made) == 1
            else Value(
                g.op("Concat", *(value.name for value in made), axis=1),
                (1, sum(value.shape[1] for value in made), *x.shape[2:]),
            )
        )
        scaled = g.op(
            "Add", g.op("Mul", joined.name, g.weights(joined.shape[1], 1, 1)), g.weights(joined.shape[1], 1, 1)
        )
        made.append(Value(g.conv(scaled, joined.shape[1], 2), (1, 2, *x.shape[2:])))
    return Value(
        g.op("Concat", *(value.name for value in made), axis=1), (1, x.shape[1] + 2 * len(made) - 2, *x.shape[2:])
    )


# -- rows f32[1,N] ---------------------------------------------------------------------------------------------------


def linear(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    rows, size = x.shape
    match draw(st.sampled_from(["MatMul", "Gemm", "transB", "alpha", "folded"])):
        case "MatMul":
            y = g.op("MatMul", x.name, g.weights(size, 3))
        case "folded":
            y = g.op("MatMul", x.name, g.op("Transpose", g.weights(3, size), perm=[1, 0]))
        case "Gemm":
            y = g.op("Gemm", x.name, g.weights(size, 3), g.weights(1, 3))
        case "transB":
            y = g.op("Gemm", x.name, g.weights(3, size), g.weights(3), transB=1)
        case _:
            y = g.op("Gemm", x.name, g.weights(size, 3), g.weights(3), alpha=0.5, beta=2.0)
    y = g.op("Add", g.weights(3), y) if draw(st.booleans()) else y
    return Value(y, (rows, 3))


def block(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    y = conv(g, draw, pad(g, draw, x, values) if draw(st.booleans()) else x, values)
    y = draw(st.sampled_from([batch_norm, per_channel, by_number]))(g, draw, y, values)
    return draw(st.sampled_from([activation, bounded, neutral]))(g, draw, y, values)


def head(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    pooled = g.op("Flatten", g.op("GlobalAveragePool", x.name))
    return linear(g, draw, Value(pooled, x.shape[:2]), values)


def spread_head(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    """VGG's: a map is averaged to a fixed size, by a matrix over its pixels, before it is flattened."""
    _, channels, height, width = x.shape
    pixels = height * width
    wanted = pixels + draw(st.sampled_from([-1, 0, 3])) if pixels > 1 else pixels
    lines = g.op("Reshape", x.name, g.integers(1, channels, pixels))
    spread = g.op("MatMul", lines, g.weights(pixels, wanted))
    size = channels * wanted
    return linear(g, draw, Value(g.op("Reshape", spread, g.integers(1, size)), (1, size)), values)


# -- any shape -------------------------------------------------------------------------------------------------------


def _arithmetic(g: Graph, draw: Draw, x: Value, number: Any) -> Value:
    op_type = draw(st.sampled_from(["Mul", "Div", "Add", "Sub"]))
    operands = [x.name, g.constant(number)]
    swapped = op_type != "Div" and draw(st.booleans())
    return Value(g.op(op_type, *(operands[::-1] if swapped else operands)), x.shape)


def by_number(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    return _arithmetic(g, draw, x, draw(st.sampled_from([0.5, 1.0, 3.0, -1.5])))


def same_shape(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    other = draw(st.sampled_from([value for value in values if value.shape == x.shape]))
    return Value(g.op(draw(st.sampled_from(["Add", "Sub", "Max"])), x.name, other.name), x.shape)


def neutral(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    op_type, extra = draw(st.sampled_from([("Identity", {}), ("Dropout", {}), ("Cast", {"to": 1})]))
    return Value(g.op(op_type, x.name, **extra), x.shape)


def bounded(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    low, high = draw(st.sampled_from([(0.0, 6.0), (-1.0, 1.0), (0.0, None), (None, 2.0)]))
    match draw(st.sampled_from(["Clip", "Relu", "Min", "Max"])):
        case "Clip":
            return Value(g.op("Clip", x.name, *("" if b is None else g.constant(b) for b in (low, high))), x.shape)
        case "Relu":
            return Value(g.op("Relu", x.name), x.shape)
        case op_type:
            return Value(g.op(op_type, x.name, g.constant(low or 0.0)), x.shape)


def _clipped(g: Graph, x: str) -> str:
    return g.op("Clip", g.op("Add", x, g.constant(3.0)), g.constant(0.0), g.constant(6.0))


def _hard_sigmoid(g: Graph, x: str, native: bool) -> str:
    return g.op("HardSigmoid", x, alpha=1 / 6) if native else g.op("Div", _clipped(g, x), g.constant(6.0))


def activation(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    kinds = [
        "HardSwish",
        "hard swish",
        "x * HardSigmoid",
        "HardSigmoid",
        "hard sigmoid",
        "gelu",
        "PRelu",
        "unit length",
    ]
    match draw(st.sampled_from(kinds)):
        case "HardSwish":
            y = g.op("HardSwish", x.name)
        case "hard swish":
            y = g.op("Div", g.op("Mul", x.name, _clipped(g, x.name)), g.constant(6.0))
        case "x * HardSigmoid":
            y = g.op("Mul", _hard_sigmoid(g, x.name, draw(st.booleans())), x.name)
        case "PRelu":
            y = g.op("PRelu", x.name, g.constant([0.25]))
        case "unit length":
            length = g.op("ReduceL2", x.name, g.integers(-1))
            y = g.op("Div", x.name, g.op("Max", length, g.constant(0.1)))
        case "gelu":
            erf = g.op("Erf", g.op("Div", x.name, g.constant(2**0.5)))
            y = g.op("Mul", g.op("Mul", x.name, g.constant(0.5)), g.op("Add", erf, g.constant(1.0)))
        case kind:
            y = _hard_sigmoid(g, x.name, kind == "HardSigmoid")
    return Value(y, x.shape)


def layer_norm(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    difference = g.op("Sub", x.name, g.op("ReduceMean", x.name, g.integers(-1)))
    variance = g.op("ReduceMean", g.op("Mul", difference, difference), g.integers(-1))
    y = g.op("Div", difference, g.op("Sqrt", g.op("Add", variance, g.constant(0.1))))
    return Value(g.op("Mul", y, g.weights(x.shape[-1])) if draw(st.booleans()) else y, x.shape)


def softmax(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    axis = draw(st.sampled_from([{}, {"axis": -1}, {"axis": 1}]))
    return Value(g.op("Softmax", x.name, **axis), x.shape)


def transpose(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    order = [0, *draw(st.permutations(range(1, len(x.shape))))]
    return Value(g.op("Transpose", x.name, perm=order), tuple(x.shape[axis] for axis in order))


def halves(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    size = x.shape[1] // 2 or 1
    y = g.op("Slice", x.name, g.integers(-size), g.integers(2**62), g.integers(1))
    return Value(y, (1, size, *x.shape[2:]))


def reshape(g: Graph, draw: Draw, x: Value, values: list[Value]) -> Value:
    size = 1
    for length in x.shape:
        size *= length
    match draw(st.sampled_from(["Flatten", "Reshape", "Unsqueeze", "map", "computed"])):
        case "Flatten":
            return Value(g.op("Flatten", x.name), (1, size))
        case "Unsqueeze" if len(x.shape) < 4:
            return Value(g.op("Unsqueeze", x.name, g.integers(-1)), (*x.shape, 1))
        case "map":
            return Value(g.op("Reshape", x.name, g.integers(1, 1, -1, 1)), (1, 1, size, 1))
        case "computed":
            batch = g.op("Slice", g.op("Shape", x.name), g.integers(0), g.integers(1))
            return Value(g.op("Reshape", x.name, g.op("Concat", batch, g.integers(-1), axis=0)), (1, size))
        case _:
            return Value(g.op("Reshape", x.name, g.integers(0, x.shape[1], -1)), (1, x.shape[1], size // x.shape[1]))


MAP_STEPS = [block, block, block, conv, conv, batch_norm, per_channel, pad, pool, mean, concat]
MAP_STEPS += [group_norm, squeeze_and_excite, head, spread_head, crop, shuffled_conv, dense_block, pixel_shuffled]
ROW_STEPS = [linear, linear, linear]
ANY_STEPS = [by_number, same_shape, neutral, bounded, activation, activation, layer_norm, softmax, transpose, halves]
ANY_STEPS += [reshape]
