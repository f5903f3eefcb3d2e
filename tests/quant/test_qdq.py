"""The quantized graph: where pairs stand, what they hold, and that it computes what the float graph did."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgekit.errors import EdgekitError
from edgekit.quant import calibrate, quantize
from edgekit.target import QuantScheme

INT8, INT16 = QuantScheme("int8", "int8"), QuantScheme("int8", "int16")
RNG = np.random.default_rng(0)
WEIGHT, BIAS = RNG.normal(0, 0.5, (4, 4, 3, 3)), RNG.normal(0, 1, 4)
NET = """
    a = Conv<pads=[1, 1, 1, 1]>(x, w, b)
    r = Relu(a)
    s = Add(r, x)
    p = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(s)
    c = Concat<axis=1>(p, p)
    y = GlobalAveragePool(c)
"""


@pytest.fixture(scope="module")
def net(graph):
    return graph(NET, w=WEIGHT, b=BIAS)


def nodes(model, op):
    return [node for node in model.graph if node.op_type == op]


def sqnr_db(expected, found):
    return 10 * np.log10(np.square(expected).sum() / np.square(expected - found).sum())


@pytest.mark.parametrize(("scheme", "least_db"), [(INT8, 30), (INT16, 40)])
def test_the_quantized_graph_is_valid_and_computes_nearly_the_same(net, quantized, evaluate, images, scheme, least_db):
    found = quantized(net, scheme)
    onnx.checker.check_model(ir.to_proto(found), full_check=True)
    assert sqnr_db(evaluate(net, images), evaluate(found, images)) > least_db
    assert [value.name for value in found.graph.outputs] == ["y"]
    assert [value.dtype for value in [*found.graph.inputs, *found.graph.outputs]] == [ir.DataType.FLOAT] * 2


def test_the_float_graph_is_not_changed(net, quantized):
    before = ir.to_proto(net).SerializeToString()
    quantized(net)
    assert ir.to_proto(net).SerializeToString() == before


def test_every_reader_is_behind_a_pair_and_no_activation_has_one_before_it(net, quantized):
    for node in quantized(net).graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        expected = "Conv" if node.op_type == "Relu" else "DequantizeLinear"
        assert {value.producer().op_type for value in node.inputs} == {expected}, node.name


@pytest.mark.parametrize("scheme", [INT8, INT16])
def test_operators_that_move_values_have_equal_parameters_in_and_out(net, quantized, parameters, scheme):
    found = parameters(quantized(net, scheme))
    assert found["s"] == found["p"] == found["c"]
    assert found["y"] != found["c"]


def test_parameters_are_per_tensor_and_of_the_schemes_type(net, quantized, parameters):
    assert {dtype for _, _, dtype in parameters(quantized(net)).values()} == {"int8"}
    wide = parameters(quantized(net, INT16)).values()
    assert {dtype for _, _, dtype in wide} == {"int16"}
    assert {zero for _, zero, _ in wide} == {0}


@pytest.mark.parametrize("scheme", [INT8, INT16])
def test_weights_are_int8_per_channel_and_biases_int32_at_input_scale_times_weight_scale(
    net, quantized, parameters, scheme
):
    model = quantized(net, scheme)
    weight, bias = (value.producer() for value in nodes(model, "Conv")[0].inputs[1:3])
    stored, scale, zero = (value.const_value.numpy() for value in weight.inputs)
    assert (stored.dtype.name, stored.shape, scale.shape) == ("int8", WEIGHT.shape, (4,))
    assert not zero.any()
    assert weight.attributes.get_int("axis") == 0
    assert np.abs(stored * scale.reshape(4, 1, 1, 1) - WEIGHT).max() <= 0.51 * scale.max()
    stored_bias, bias_scale, bias_zero = (value.const_value.numpy() for value in bias.inputs)
    assert stored_bias.dtype.name == bias_zero.dtype.name == "int32"
    assert np.array_equal(bias_scale, np.float32(parameters(model)["x"][0]) * scale)
    assert not bias_zero.any()


def test_the_bias_makes_up_for_the_mean_error_of_the_weights(graph, evaluate, images):
    model = graph("y = Conv(x, w, b)", w=WEIGHT, b=BIAS)
    ranges = calibrate(model, [images])
    blind = {name: type(seen)(seen.min, seen.max, seen.histogram) for name, seen in ranges.items()}
    expected = evaluate(model, images).mean((0, 2, 3))
    with_means, without = (evaluate(quantize(model, r, INT16), images).mean((0, 2, 3)) for r in (ranges, blind))
    assert np.abs(with_means - expected).max() < 0.2 * np.abs(without - expected).max()


@pytest.mark.parametrize(
    ("operator", "scheme", "expected"),
    [
        ("Sigmoid", INT8, (1 / 256, -128, "int8")),
        ("Softmax<axis=1>", INT8, (1 / 256, -128, "int8")),
        ("Tanh", INT8, (1 / 128, 0, "int8")),
        ("Sigmoid", INT16, (1 / 32768, 0, "int16")),
        ("Softmax<axis=1>", INT16, (1 / 32768, 0, "int16")),
        ("Tanh", INT16, (1 / 32768, 0, "int16")),
    ],
)
def test_kernels_with_fixed_outputs_get_their_parameters(graph, quantized, parameters, operator, scheme, expected):
    assert parameters(quantized(graph(f"y = {operator}(x)"), scheme))["y"] == expected


def test_fixed_parameters_go_on_through_operators_that_move_values(graph, quantized, parameters):
    found = parameters(quantized(graph("a = Sigmoid(x) y = MaxPool<kernel_shape=[2, 2]>(a)")))
    assert found["a"] == found["y"] == (1 / 256, -128, "int8")


def test_a_requantized_operand_has_a_second_pair_on_its_edge_alone(graph, quantized, evaluate, images):
    model = graph("a = Sigmoid(x) b = Relu(x) c = Concat<axis=1>(a, b) y = Relu(c)")
    found = quantized(model)
    first, second = (value.producer().inputs[1:] for value in nodes(found, "Concat")[0].inputs)
    assert [v.const_value.numpy() for v in first] == [v.const_value.numpy() for v in second]
    assert sqnr_db(evaluate(model, images), evaluate(found, images)) > 30


def test_a_relu_costs_nothing_because_zero_is_its_lowest_number(graph, quantized, parameters):
    assert parameters(quantized(graph("a = Add(x, x) y = Relu(a)")))["y"][1] == -128


def test_a_clip_is_never_exceeded_by_the_range_of_its_output(graph, quantized, parameters):
    model = graph("a = Add(x, x) y = Clip(a, low, high)", low=np.float32(0), high=np.float32(0.7))
    scale, zero, _ = parameters(quantized(model))["y"]
    assert zero == -128
    assert 255 * scale <= np.float32(0.7)


def test_an_activation_that_is_always_zero_has_a_scale_above_zero(graph, quantized, parameters, evaluate, images):
    model = graph("a = Mul(x, zero) y = Relu(a)", zero=np.zeros((4, 1, 1)))
    found = quantized(model)
    assert all(scale > 0 for scale, _, _ in parameters(found).values())
    assert not evaluate(found, images[:2]).any()


def test_constant_operands_have_their_own_range(graph, quantized, evaluate, images):
    offset = np.array([100.0, -3.0, 0.5, 7.0]).reshape(4, 1, 1)
    model = graph("y = Add(x, k)", k=offset)
    found = quantized(model)
    dequantize = nodes(found, "Add")[0].inputs[1].producer()
    assert dequantize.inputs[0].const_value.numpy().dtype == np.int8
    assert sqnr_db(evaluate(model, images), evaluate(found, images)) > 30


def test_a_weight_with_two_readers_is_stored_once_for_each_input_scale(graph, quantized, evaluate, images):
    model = graph("a = Conv(x, w, b) t = Tanh(x) c = Conv(t, w, b) y = Add(a, c)", w=WEIGHT, b=BIAS)
    found = quantized(model)
    scales = [node.inputs[2].producer().inputs[1].const_value.numpy() for node in nodes(found, "Conv")]
    assert not np.array_equal(*scales)
    assert sqnr_db(evaluate(model, images), evaluate(found, images)) > 30


def test_pairs_carry_the_module_that_they_belong_to_and_names_are_unique(net, quantized):
    model = quantized(net)
    without = {node.name for node in model.graph if not node.metadata_props.get("edgekit.module")}
    assert without == {"x_QuantizeLinear", "x_DequantizeLinear"}, "the input comes from no module"
    names = [value.name for node in model.graph for value in node.outputs] + list(model.graph.initializers)
    assert len(names) == len(set(names))
    assert not {"w", "b"} & set(model.graph.initializers)


def test_an_inner_output_keeps_its_name(graph, quantized):
    both = "float[?,?,?,?] a, float[?,?,?,?] y"
    found = quantized(graph("a = Conv(x, w, b) y = Relu(a)", outputs=both, w=WEIGHT, b=BIAS))
    assert [value.name for value in found.graph.outputs] == ["a", "y"]
    assert {value.producer().op_type for value in found.graph.outputs} == {"DequantizeLinear"}


def test_the_same_ranges_give_the_same_bytes(net, images):
    first, second = (ir.to_proto(quantize(net, calibrate(net, [images]), INT8)).SerializeToString() for _ in range(2))
    assert first == second


def test_float_activations_change_nothing(net):
    for weight in ("float32", "float16", "int8"):
        found = quantize(net, {}, QuantScheme(weight, "float32"))
        assert ir.to_proto(found).SerializeToString() == ir.to_proto(net).SerializeToString()


def test_a_quantized_graph_is_not_quantized_again(net, quantized, images):
    with pytest.raises(EdgekitError) as raised:
        quantize(quantized(net), calibrate(net, [images]), INT8)
    assert raised.value.code == "EK204"


def test_a_value_without_a_range_is_named(net, images):
    ranges = calibrate(net, [images])
    del ranges["s"]
    with pytest.raises(EdgekitError, match="'s'") as raised:
        quantize(net, ranges, INT8)
    assert raised.value.code == "EK401"


def test_an_output_that_is_given_twice_is_stored_as_integers_both_times(graph, quantized):
    model = graph("y = GlobalAveragePool(x)\n twin = Identity(y)")
    (twin,) = (node.outputs[0] for node in nodes(model, "Identity"))
    model.graph.outputs.append(twin)
    found = quantized(model)
    assert [value.name for value in found.graph.outputs] == ["y", "twin"]
    assert {value.producer().op_type for value in found.graph.outputs} == {"DequantizeLinear"}
