"""What the canonical float graph guarantees."""

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from pass_graphs import (
    MODULE_KEY,
    Graph,
    array_of,
    assert_same,
    attributes_of,
    node_of,
    op_types,
    run,
    serialized,
)

from edgekit.passes import FOR_INTEGERS, SIMPLIFY, prepare_integer, simplify
from edgekit.passes.rewrite import shape_of


def hard_swish(g, x):
    gate = g.op("Clip", g.op("Add", x, g.constant(3.0)), g.constant(0.0), g.constant(6.0))
    return g.op("Div", g.op("Mul", x, gate), g.constant(6.0))


def hard_sigmoid(g, x):
    return g.op("Div", g.op("Min", g.op("Relu", g.op("Add", x, g.constant(3.0))), g.constant(6.0)), g.constant(6.0))


def gelu(g, x):
    erf = g.op("Erf", g.op("Mul", x, g.constant(0.5**0.5)))
    return g.op("Mul", g.op("Mul", g.constant(0.5), x), g.op("Add", g.constant(1.0), erf))


def layer_norm(g, x, size):
    difference = g.op("Sub", x, g.op("ReduceMean", x, g.integers(-1)))
    variance = g.op("ReduceMean", g.op("Pow", difference, g.constant(2.0)), g.integers(-1))
    y = g.op("Div", difference, g.op("Sqrt", g.op("Add", variance, g.constant(1e-5))))
    return g.op("Add", g.op("Mul", y, g.weights(size)), g.weights(size))


def network(**build):
    """Everything that the guarantees name, as exporters write it."""
    g = Graph()
    x = g.op("Div", g.op("Sub", g.input(1, 3, 16, 16), g.weights(1, 3, 1, 1)), g.constant(0.5))
    x = g.batch_norm(g.conv(x, 3, 8, 3, bias=False, auto_pad="SAME_UPPER", strides=[2, 2]), 8)
    x = g.op("Identity", hard_swish(g, x))
    x = g.op("Pad", x, g.integers(0, 0, 1, 1, 0, 0, 1, 1))
    x = g.op("Relu", g.batch_norm(g.conv(x, 8, 8, 3, group=8), 8))
    squeezed = g.op("ReduceMean", x, g.integers(-1, -2))
    x = g.op("Mul", x, hard_sigmoid(g, g.conv(squeezed, 8, 8)))
    x = g.op("Clip", g.batch_norm(g.op("Concat", x, x, axis=-3), 16), g.constant(0.0))
    tokens = g.op("Transpose", g.op("Reshape", x, g.integers(0, 16, -1)), perm=[0, 2, 1])
    tokens = gelu(g, layer_norm(g, g.op("Cast", tokens, to=1), 16))
    pooled = g.op("Dropout", g.op("ReduceMean", tokens, g.integers(1), keepdims=0), g.constant(0.2))
    weights = g.op("Transpose", g.weights(5, 16), perm=[1, 0])
    return g.model(g.op("Add", g.op("MatMul", g.op("Flatten", pooled), weights), g.weights(5)), **build)


@pytest.fixture(scope="module")
def canonical():
    return simplify(network())


def test_the_outputs_are_the_same_and_the_model_given_is_not_touched():
    model = network()
    before, expected = serialized(model), run(model)
    assert_same(run(simplify(model)), expected)
    assert serialized(model) == before


def test_it_is_idempotent(canonical):
    assert op_types(simplify(canonical)) == op_types(canonical)
    assert serialized(simplify(simplify(canonical))) == serialized(simplify(canonical))


def test_no_operator_is_left_that_a_pass_removes(canonical):
    gone = {
        "Identity",
        "Dropout",
        "Cast",
        "BatchNormalization",
        "Pad",
        "MatMul",
        "Flatten",
        "Erf",
        "Min",
        "Max",
        "Clip",
    }
    assert not gone & set(op_types(canonical))


def test_activations_and_layer_normalization_are_single_nodes(canonical):
    counts = Counter(op_types(canonical))
    assert {name: counts[name] for name in ("HardSwish", "HardSigmoid", "Gelu", "LayerNormalization")} == {
        "HardSwish": 1,
        "HardSigmoid": 1,
        "Gelu": 1,
        "LayerNormalization": 1,
    }


def test_the_mean_over_the_map_is_a_pool(canonical):
    assert op_types(canonical).count("GlobalAveragePool") == 1


def test_the_opset_is_21(canonical):
    assert dict(canonical.opset_imports) == {"": 21}


def test_every_value_has_a_static_shape_and_a_type_and_the_shapes_are_right(canonical):
    values = [*canonical.graph.inputs, *(value for node in canonical.graph for value in node.outputs)]
    assert all(shape_of(value) is not None and value.dtype is not None for value in values)
    assert all(value.shape[0] == 1 for value in values)
    onnx.checker.check_model(ir.to_proto(canonical), full_check=True)


def test_every_conv_states_its_attributes_and_has_a_bias(canonical):
    convolutions = [node for node in canonical.graph if node.op_type == "Conv"]
    assert len(convolutions) == 4  # three, and the norm that stands behind none of them
    for node in convolutions:
        assert attributes_of(node).keys() == {"kernel_shape", "strides", "pads", "dilations", "group"}
        assert array_of(node.inputs[2]).shape == array_of(node.inputs[1]).shape[:1]


def test_linear_layers_are_gemm_with_transposed_weights_and_a_bias(canonical):
    gemm = node_of(canonical, "Gemm")
    assert attributes_of(gemm) == {"transB": 1}
    assert (array_of(gemm.inputs[1]).shape, array_of(gemm.inputs[2]).shape) == ((5, 16), (5,))


def test_every_reshape_has_a_constant_positive_shape(canonical):
    reshapes = [node for node in canonical.graph if node.op_type == "Reshape"]
    assert reshapes
    assert all((array_of(node.inputs[1]) > 0).all() for node in reshapes)


def test_names_are_unique_and_every_node_has_its_module(canonical):
    nodes = [node.name for node in canonical.graph]
    values = [*canonical.graph.initializers, *(value.name for node in canonical.graph for value in node.outputs)]
    assert len(set(nodes)) == len(nodes)
    assert len(set(values)) == len(values)
    assert all(node.metadata_props[MODULE_KEY].startswith("layers.") for node in canonical.graph)


def test_inputs_and_outputs_keep_their_names(canonical):
    model = network()
    assert [value.name for value in canonical.graph.inputs] == [value.name for value in model.graph.inputs]
    assert [value.name for value in canonical.graph.outputs] == [value.name for value in model.graph.outputs]


def test_constants_are_initializers_that_something_reads(canonical):
    assert all(value.uses() for value in canonical.graph.initializers.values())
    assert all(node.inputs for node in canonical.graph)


def test_for_integers_only_plain_operators_are_left(canonical):
    prepared = prepare_integer(canonical)
    assert not {"HardSwish", "HardSigmoid"} & set(op_types(prepared))
    assert_same(run(prepared), run(canonical))
    assert op_types(prepare_integer(prepared)) == op_types(prepared)


def test_shapes_are_found_behind_a_group_normalization_of_which_onnx_infers_none():
    g = Graph()
    y = g.op("GroupNormalization", g.input(1, 6, 4, 5), g.weights(6), g.weights(6), num_groups=2)
    file = ir.from_proto(g.proto(g.op("Relu", g.op("GlobalMaxPool", y))))
    model = simplify(file)
    assert [shape_of(node.outputs[0]) for node in model.graph] == [(1, 6, 4, 5), (1, 6, 1, 1), (1, 6, 1, 1)]


def test_two_equal_branches_fold_as_one():
    g = Graph()
    y = g.conv(g.input(1, 2, 4, 4), 2, 3)
    half = g.constant(0.5)
    model = simplify(g.model(g.op("Relu", g.op("Mul", y, half)), g.op("Neg", g.op("Mul", y, half))))
    assert op_types(model) == ["Conv", "Relu", "Neg"]


@pytest.mark.parametrize("opset", [17, 18, 20])
def test_older_opsets_are_raised(opset):
    g = Graph()
    x = g.conv(g.input(1, 2, 6, 6), 2, 4, 3)
    mean = g.op("ReduceMean", x, axes=[2, 3]) if opset < 18 else g.op("ReduceMean", x, g.integers(2, 3))
    model = g.model(g.op("Flatten", mean), opset=opset)
    expected, canonical = run(model), simplify(model)
    assert canonical.opset_imports[""] == 21
    assert_same(run(canonical), expected)
    assert op_types(canonical) == ["Conv", "GlobalAveragePool", "Reshape"]


def test_a_file_without_inferred_shapes_gets_them():
    g = Graph()
    y = g.op("Reshape", g.conv(g.input(1, 2, 4, 4), 2, 3), g.integers(0, -1))
    proto = g.proto(y)
    proto.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    assert simplify(ir.from_proto(proto)).graph.outputs[0].shape == (1, 48)


def test_an_initializer_that_is_listed_as_an_input_is_a_constant():
    g = Graph()
    proto = ir.to_proto(g.model(g.conv(g.input(1, 2, 4, 4), 2, 3, bias=False)))
    proto.graph.input.append(onnx.helper.make_tensor_value_info("c0", onnx.TensorProto.FLOAT, [3, 2, 1, 1]))
    assert [value.name for value in simplify(ir.from_proto(proto)).graph.inputs] == ["in0"]


def test_every_pass_of_the_lists_has_a_file_and_a_test_of_its_name(repository, package):
    for each in {*SIMPLIFY, *FOR_INTEGERS}:
        assert (package / "passes" / f"{each.__name__}.py").is_file()
        assert (repository / "tests" / "passes" / f"test_{each.__name__}.py").is_file()


def test_weights_are_not_rounded_twice():
    g = Graph()
    y = g.conv(g.input(1, 4, 8, 8), 4, 4, 3)
    for _ in range(12):
        y = g.op("Add", g.op("Mul", y, g.constant(g.random.uniform(0.7, 1.4, (4, 1, 1)))), g.weights(4, 1, 1))
    model = g.model(y)
    canonical = simplify(model)
    assert op_types(canonical) == ["Conv"]
    assert_same(run(canonical), run(model), tolerance=1e-6)
    assert array_of(node_of(canonical, "Conv").inputs[1]).dtype == np.float32
