"""route_channels: shuffles, splits and selections disappear into the weights around them, and what does not."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pass_graphs import Graph, applied, assert_left_alone, assert_same, op_types, run, serialized

from edgekit.passes.route_channels import MAX_PIECES, route_channels

MOVES = {"Concat", "Slice"}


def shuffle(g, source, channels, groups, size=3):
    split = g.op("Reshape", source, g.integers(1, groups, channels // groups, size, size))
    return g.op("Reshape", g.op("Transpose", split, perm=[0, 2, 1, 3, 4]), g.integers(1, channels, size, size))


def gather(g, source, *channels):
    return g.op("Gather", source, g.integers(*channels), axis=1)


def relu_conv(g, source, into, out, kernel=1, **attributes):
    pads = {"pads": [kernel // 2] * 4}
    return g.op("Relu", g.conv(source, into, out, kernel, **pads, **attributes))


def test_a_shuffle_between_convolutions_is_gone():
    g = Graph()
    y = shuffle(g, relu_conv(g, g.input(1, 3, 3, 3), 3, 6), 6, 2)
    assert op_types(applied(route_channels, g.model(g.conv(y, 6, 4)))) == ["Conv", "Relu", "Conv"]


def test_channels_pass_through_what_treats_them_alike():
    g = Graph()
    y = shuffle(g, g.op("Relu", g.input(1, 6, 3, 3)), 6, 3)
    y = g.op("Mul", g.weights(6, 1, 1), relu_conv(g, y, 6, 6, 3, group=6))
    y = g.op("Add", g.op("MaxPool", y, kernel_shape=[2, 2]), g.weights(1, 6, 1, 1))
    y = g.op("Flatten", g.op("GlobalAveragePool", g.op("Clip", y, g.constant(-1.0), g.constant(2.0))))
    model = applied(route_channels, g.model(g.op("Gemm", y, g.weights(3, 6), g.weights(3), transB=1)))
    assert not {"Transpose", "Gather", "Slice", "Concat"} & set(op_types(model))


def test_between_groups_each_one_is_put_together_from_runs_of_all():
    g = Graph()
    y = shuffle(g, relu_conv(g, g.input(1, 6, 3, 3), 6, 18, group=3), 18, 3)
    y = g.conv(y, 18, 18, 3, group=18, pads=[1] * 4)
    model = applied(route_channels, g.model(g.conv(y, 18, 6, group=3)))
    assert op_types(model) == ["Conv", "Relu", *["Slice"] * 9, "Concat", "Conv", "Conv"]
    assert sum(stop - start for start, stop in slices(model)) == 18


def test_in_front_of_groups_a_convolution_without_them_writes_what_they_read():
    g = Graph()
    y = shuffle(g, relu_conv(g, g.input(1, 4, 3, 3), 4, 12), 12, 3)
    model = applied(route_channels, g.model(g.conv(y, 12, 6, group=3)))
    assert op_types(model) == ["Conv", "Relu", "Conv"]


def unit(g, x, half):
    """A ShuffleNet V2 unit over 2 * half channels."""
    kept, changed = g.several("Split", 2, x, axis=1, num_outputs=2)
    y = relu_conv(g, changed, half, half)
    y = relu_conv(g, g.conv(y, half, half, 3, group=half, pads=[1] * 4), half, half)
    return shuffle(g, g.op("Concat", kept, y, axis=1), 2 * half, 2)


@pytest.mark.parametrize("half", [4, 6])
def test_in_shufflenet_v2_a_channel_is_copied_once_and_never_shuffled(half):
    g = Graph()
    x = g.input(1, 3, 3, 3)
    joined = g.op("Concat", relu_conv(g, x, 3, half), relu_conv(g, x, 3, half), axis=1)
    y = unit(g, unit(g, unit(g, shuffle(g, joined, 2 * half, 2), half), half), half)
    depthwise = relu_conv(g, g.conv(y, 2 * half, 2 * half, 3, group=2 * half), 2 * half, 4)
    model = applied(route_channels, g.model(depthwise, relu_conv(g, y, 2 * half, 4)))
    types = op_types(model)
    assert {"Conv", "Relu"} | MOVES == set(types)
    assert types.count("Concat") == 4  # one input for each of three units, one for both readers behind them
    read = sum(node.outputs[0].shape[1] for node in model.graph if node.op_type == "Concat")
    assert read == 3 * half + 2 * half


def test_a_selection_may_leave_out_and_repeat_channels():
    g = Graph()
    y = gather(g, relu_conv(g, g.input(1, 3, 3, 3), 3, 6), 5, 0, 0, 2, 5)
    model = applied(route_channels, g.model(g.conv(y, 5, 4)))
    assert op_types(model) == ["Conv", "Relu", "Slice", "Conv"]


def test_of_a_source_that_cannot_be_reordered_the_whole_is_read_with_zero_weights():
    g = Graph()
    odd = range(1, 2 * MAX_PIECES + 4, 2)
    y = g.op("Flatten", g.op("GlobalAveragePool", g.input(1, 2 * len(odd), 3, 3)))
    y = g.op("Gemm", gather(g, y, *odd), g.weights(3, len(odd)), transB=1)
    assert op_types(applied(route_channels, g.model(y))) == ["GlobalAveragePool", "Flatten", "Gemm"]


def test_every_second_channel_is_a_selection():
    g = Graph()
    y = relu_conv(g, g.input(1, 3, 3, 3), 3, 8)
    even, odd = (g.op("Slice", y, g.integers(i), g.integers(8), g.integers(1), g.integers(2)) for i in (0, 1))
    model = applied(route_channels, g.model(g.conv(even, 4, 2), g.conv(odd, 4, 2)))
    assert [(int(start), int(stop)) for start, stop in slices(model)] == [(0, 4), (4, 8)]


def slices(model):
    nodes = [node for node in model.graph if node.op_type == "Slice"]
    return [tuple(value.const_value.numpy()[0] for value in node.inputs[1:3]) for node in nodes]


def reorderable(g):
    return relu_conv(g, g.input(1, 3, 3, 3), 3, 6)


SKIPPED = {
    "many groups": lambda g: g.conv(shuffle(g, relu_conv(g, g.input(1, 3, 3, 3), 3, 8), 8, 2), 8, 4, group=4),
    "an addition": lambda g: g.op("Add", shuffle(g, reorderable(g), 6, 2), g.input(1, 6, 3, 3)),
    "a graph output": lambda g: shuffle(g, reorderable(g), 6, 2),
    "a softmax": lambda g: g.conv(g.op("Softmax", shuffle(g, reorderable(g), 6, 2), axis=1), 6, 2),
    "a value read twice": lambda g: g.op("Add", *[g.op("Relu", shuffle(g, reorderable(g), 6, 2))] * 2),
    "slices and concatenations alone": lambda g: g.conv(
        g.op("Concat", *g.several("Split", 2, reorderable(g), axis=1, num_outputs=2), axis=1), 6, 4
    ),
    "pixels": lambda g: g.op("Gather", reorderable(g), g.integers(2, 0, 1), axis=2),
    "too much": lambda g: g.conv(
        gather(g, g.input(1, 200, 1, 1), *range(0, 200, 5)),
        40,
        2,
    ),
    "another reshape": lambda g: g.conv(
        g.op("Reshape", g.op("Transpose", g.input(1, 4, 4, 4), perm=[0, 2, 1, 3]), g.integers(1, 4, 4, 4)), 4, 2
    ),
    "computed weights": lambda g: g.op("Conv", shuffle(g, reorderable(g), 6, 2), g.op("Relu", g.input(4, 6, 1, 1))),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_what_it_skips(name):
    g = Graph()
    assert_left_alone(route_channels, g.model(SKIPPED[name](g)))


def test_a_source_that_something_else_reads_in_order_keeps_its_order():
    g = Graph()
    y = reorderable(g)
    model = applied(route_channels, g.model(g.conv(shuffle(g, y, 6, 2), 6, 4), g.op("Sigmoid", y)))
    assert op_types(model) == ["Conv", "Relu", "Conv", "Sigmoid"]


@st.composite
def channel_graphs(draw):
    """Convolutions, grouped or not, between random ways of moving channels; every value may be read again."""
    g = Graph(seed=draw(st.integers(0, 1000)))
    values = [(g.input(1, 4, 3, 3), 4)]
    for _ in range(draw(st.integers(3, 12))):
        x, c = values[-1] if draw(st.integers(0, 2)) else draw(st.sampled_from(values))
        match draw(st.sampled_from(["conv", "conv", "alike", "shuffle", "split", "join", "pick", "every", "add"])):
            case "conv":
                group = draw(st.sampled_from([1, 1, 2, 2, c])) if c % 2 == 0 else 1
                out = draw(st.sampled_from([4, 6])) if group < c else c
                values.append((g.conv(x, c, out, group=group), out))
            case "alike":
                kind = draw(st.sampled_from(["Relu", "Mul", "Add", "Sub", "Sigmoid"]))
                operands = [x] if kind in ("Relu", "Sigmoid") else [x, g.weights(c, 1, 1)]
                swapped = len(operands) == 2 and draw(st.booleans())
                values.append((g.op(kind, *(operands[::-1] if swapped else operands)), c))
            case "shuffle" if c % 2 == 0:
                values.append((shuffle(g, x, c, draw(st.sampled_from([2, c // 2]))), c))
            case "split" if c % 2 == 0:
                values += [(half, c // 2) for half in g.several("Split", 2, x, axis=1, num_outputs=2)]
            case "join":
                other, more = draw(st.sampled_from(values))
                if c + more <= 24:
                    values.append((g.op("Concat", x, other, axis=1), c + more))
            case "pick":
                chosen = draw(st.lists(st.integers(-c, c - 1), min_size=1, max_size=2 * c))
                values.append((gather(g, x, *chosen), len(chosen)))
            case "every":
                count = len(range(c)[-1::-2])
                cut = g.op("Slice", x, g.integers(-1), g.integers(-(2**62)), g.integers(1), g.integers(-2))
                values.append((cut, count))
            case "add":
                other = draw(st.sampled_from([name for name, size in values if size == c]))
                values.append((g.op("Add", x, other), c))
    computed = [name for name, _ in values[1:]] or [g.op("Relu", values[0][0])]
    extra = [draw(st.sampled_from(computed))] if draw(st.booleans()) else []
    return g.model(*dict.fromkeys([computed[-1], *extra]))


@settings(
    derandomize=True, deadline=None, database=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow]
)
@given(channel_graphs())
def test_random_graphs_keep_their_outputs_and_settle_in_one_run(model):
    expected = run(model)
    route_channels(model)
    assert_same(run(model), expected)
    settled = serialized(model)
    assert not route_channels(model)
    assert serialized(model) == settled
