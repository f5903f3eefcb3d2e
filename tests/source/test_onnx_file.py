"""`model.onnx`: float, half precision, QDQ; every size fixed; broken files named."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import EdgekitError
from edgekit.passes import simplify
from edgekit.recipe import make_recipe
from edgekit.source import resolve

FLOAT = TensorProto.FLOAT
WEIGHT = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)


def build(shape=(1, 3, 8, 8), dtype=FLOAT, nodes=None, opset=17, inputs=None, constants=(), rank=2, gives=None):
    """A convolution, global pooling and Flatten over an input of `shape`: scores of four classes."""
    weight = numpy_helper.from_array(WEIGHT.astype(helper.tensor_dtype_to_np_dtype(dtype)), "w")
    nodes = nodes or [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("GlobalAveragePool", ["c"], ["g"], name="pool"),
        helper.make_node("Flatten", ["g"], ["y"], name="flatten"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        inputs or [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", gives or dtype, [None] * rank)],
        [weight, *constants],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.fixture
def save(tmp_path):
    def save(model, name="my net.onnx"):
        path = tmp_path / name
        onnx.save(model, path)
        return path

    return save


def source(path, **choices):
    return resolve(make_recipe(model=str(path), targets=("t",), **choices))


def refused(code, path, **choices):
    with pytest.raises(EdgekitError) as raised:
        source(path, **choices)
    assert raised.value.code == code, raised.value
    return raised.value


def run(model, image):
    data = model.SerializeToString() if isinstance(model, onnx.ModelProto) else ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: image})[0]


IMAGE = np.random.default_rng(1).standard_normal((1, 3, 8, 8)).astype(np.float32)


def test_a_float_file_is_read_as_it_is(save):
    model = build()
    found = source(save(model))
    assert (found.name, found.weights, found.module) == ("my-net", "my net.onnx", None)
    assert (found.input_shape, found.classes, found.quantized) == ((1, 3, 8, 8), 4, False)
    assert np.array_equal(run(found.graph, IMAGE), run(model, IMAGE))
    assert found.preprocess.crop == (8, 8)


def test_an_output_that_is_listed_twice_is_one_output(save):
    model = build()
    model.graph.output.append(model.graph.output[0])
    found = source(save(model))
    assert [output.name for output in found.outputs] == [value.name for value in found.graph.graph.outputs] == ["y"]


def test_half_precision_becomes_float32_with_the_same_weights(save):
    model = build(dtype=TensorProto.FLOAT16)
    found = source(save(model))
    dtypes = {value.dtype for value in [*found.graph.graph.inputs, *found.graph.graph.initializers.values()]}
    assert dtypes == {ir.DataType.FLOAT}
    exact = build()
    exact.graph.initializer[0].CopyFrom(numpy_helper.from_array(WEIGHT.astype(np.float16).astype(np.float32), "w"))
    assert np.allclose(run(found.graph, IMAGE), run(exact, IMAGE), atol=1e-6)


def test_half_precision_inside_a_float_surface_becomes_float32(save):
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["h", "half"], ["c"]),
        helper.make_node("Cast", ["c"], ["y"], to=FLOAT),
    ]
    constants = [numpy_helper.from_array(WEIGHT.astype(np.float16), "half")]
    found = source(save(build(nodes=nodes, constants=constants, rank=4)))
    dtypes = {value.dtype for node in found.graph.graph for value in node.outputs}
    assert dtypes == {ir.DataType.FLOAT}


@pytest.mark.parametrize(
    ("shape", "choices", "expected"),
    [
        (("batch", 3, 8, 8), {}, (1, 3, 8, 8)),
        ((None, 3, None, None), {"input_size": "12x10"}, (1, 3, 12, 10)),
        (("n", "c", "h", "w"), {"input_size": 9}, (1, 3, 9, 9)),
        ((1, 3, "h", 8), {"preprocess": {"crop": (16, 8)}}, (1, 3, 16, 8)),
        ((-1, 3, 8, 8), {}, (1, 3, 8, 8)),
    ],
)
def test_unknown_sizes_are_fixed_everywhere(save, shape, choices, expected):
    found = source(save(build(shape)), **choices)
    assert found.input_shape == expected
    assert found.preprocess.crop == expected[2:]
    shapes = [value.shape for node in found.graph.graph for value in node.outputs]
    assert all(shape is not None and all(isinstance(size, int) for size in shape) for shape in shapes)
    assert run(found.graph, np.zeros(expected, np.float32)).shape == (1, 4)


def test_shapes_inferred_for_another_size_are_forgotten(save):
    model = onnx.shape_inference.infer_shapes(build((4, 3, 16, 16)), strict_mode=True)
    for dimension, name in zip(model.graph.input[0].type.tensor_type.shape.dim, "nchw", strict=True):
        dimension.Clear()
        dimension.dim_param = name
    shapes = {
        value.name: tuple(value.shape)
        for node in source(save(model), input_size=8).graph.graph
        for value in node.outputs
    }
    assert shapes == {"c": (1, 4, 6, 6), "g": (1, 4, 1, 1), "y": (1, 4)}


def test_a_dynamic_size_asks_for_the_option_that_fixes_it(save):
    error = refused("EK203", save(build((1, 3, "height", None))))
    assert error.what == "input 'x' has a dynamic height height, width ?"
    assert "--input-size" in error.fix


def test_another_size_than_the_files_own_is_refused(save):
    error = refused("EK203", save(build()), input_size="9x8")
    assert error.what == "the file is made for 8x8, not 9x8"
    assert source(save(build()), input_size=8).input_shape == (1, 3, 8, 8)


def test_another_batch_than_one_is_refused(save):
    assert refused("EK203", save(build((4, 3, 8, 8)))).what == "the file is made for batch 4, not batch 1"


def test_a_channels_last_input_is_named_as_that(save):
    nodes = [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2])]
    assert "channels-last" in refused("EK203", save(build((1, 8, 8, 3), nodes=nodes, rank=4))).what


def test_an_input_of_another_rank_or_type_is_refused(save):
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=FLOAT)]
    assert "rank 2" in refused("EK203", save(build((1, 3), nodes=nodes))).what
    bytes_in = build((1, 3, 8, 8), TensorProto.UINT8, nodes, rank=4, gives=FLOAT)
    assert "uint8" in refused("EK203", save(bytes_in)).what


def test_a_second_input_is_refused_by_name(save):
    inputs = [helper.make_tensor_value_info(name, FLOAT, (1, 3, 8, 8)) for name in ("x", "mask")]
    nodes = [helper.make_node("Add", ["x", "mask"], ["y"])]
    assert "2 inputs (x, mask)" in refused("EK203", save(build(inputs=inputs, nodes=nodes, rank=4))).what


def test_weights_listed_among_the_inputs_are_no_inputs(save):
    shapes = {"x": (1, 3, 8, 8), "w": (4, 3, 3, 3)}
    inputs = [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in shapes.items()]
    found = source(save(build(inputs=inputs)))
    assert [value.name for value in found.graph.graph.inputs] == ["x"]


@pytest.mark.parametrize("kept", [0, 20, 0.5, 0.97])
def test_a_truncated_file_is_invalid(save, kept):
    path = save(build())
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    error = refused("EK202", path)
    assert error.where == str(path)
    assert "truncated" in error.fix


def test_a_graph_that_the_checker_refuses_is_invalid(save):
    nodes = [helper.make_node("Relu", ["nowhere"], ["y"], name="lost")]
    what = refused("EK202", save(build(nodes=nodes, rank=4))).what
    assert "nowhere" in what
    assert "lost" in what, "the whole reason: the node is named behind the checker's first line"
    assert "\n" not in what


def test_a_missing_file_and_missing_external_data_are_named(save, tmp_path):
    assert refused("EK102", tmp_path / "no.onnx").where == str(tmp_path / "no.onnx")
    path = tmp_path / "large.onnx"
    onnx.save(build(), path, save_as_external_data=True, location="large.data", size_threshold=0)
    assert source(path).classes == 4
    whole = (tmp_path / "large.data").read_bytes()
    (tmp_path / "large.data").unlink()
    assert "large.data" in refused("EK102", path).what
    (tmp_path / "large.data").write_bytes(whole[:-8])
    with pytest.raises(EdgekitError) as raised:
        source(path)
    assert raised.value.code in ("EK102", "EK202")


def test_a_name_that_no_external_file_can_have_is_refused(save, tmp_path):
    path = tmp_path / "large.onnx"
    onnx.save(build(), path, save_as_external_data=True, location="large.data", size_threshold=0)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = "a" * 300
    onnx.save(model, path)
    assert "too long" in refused("EK102", path).what


def test_a_dtype_that_there_is_not_is_refused(save):
    model = build()
    model.graph.initializer[0].data_type = 32768
    assert "32768" in refused("EK202", save(model)).what


def test_options_that_change_weights_are_refused(save):
    assert refused("EK106", save(build()), weights="random").where == "--weights"


def test_a_graph_that_does_not_run_is_refused_with_the_runtimes_reason(save):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    assert "does not run on an input of 1x3x8x8" in refused("EK203", save(build(nodes=nodes, rank=4))).what


def quantized(opset, *between, weights=()):
    """x in integers, through the nodes `between` "d" and "c", convolved."""
    scale, zero = numpy_helper.from_array(np.float32(0.05), "s"), numpy_helper.from_array(np.int8(3), "z")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        *between,
        helper.make_node("Conv", ["c" if between else "d", "w"], ["y"]),
    ]
    return build(nodes=nodes, constants=(scale, zero, *weights), opset=opset, rank=4)


@pytest.mark.parametrize("opset", [13, 21])
def test_a_qdq_file_of_any_opset_comes_at_opset_21_with_the_same_outputs(save, opset):
    model = quantized(opset)
    found = source(save(model))
    assert found.quantized
    assert found.graph.opset_imports[""] == 21
    assert np.allclose(run(found.graph, IMAGE), run(model, IMAGE), atol=1e-5)


def test_shapes_behind_a_group_normalization_in_a_qdq_file_are_known(save):
    ones = [numpy_helper.from_array(np.ones(3, np.float32), name) for name in ("scale", "bias")]
    nodes = [
        helper.make_node("GroupNormalization", ["d", "scale", "bias"], ["n"], num_groups=1),
        helper.make_node("Relu", ["n"], ["c"]),
    ]
    found = source(save(quantized(21, *nodes, weights=ones)))
    shapes = {node.op_type: tuple(node.outputs[0].shape) for node in found.graph.graph if node.outputs[0].shape}
    assert shapes["GroupNormalization"] == shapes["Relu"] == (1, 3, 8, 8)


def test_integer_operators_are_refused_by_name(save):
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("Cast", ["q"], ["y"], to=FLOAT),
    ]
    error = refused("EK204", save(build(nodes=nodes, rank=4)))
    assert "DynamicQuantizeLinear" in error.what
    assert "QDQ" in error.fix


def test_a_real_half_precision_file_classifies(test_data):
    found = source(test_data / "weights" / "squeezenet1_1-fp16.onnx")
    assert found.classes == 1000
    assert not found.quantized
    assert found.input_shape[:2] == (1, 3)


def test_a_file_of_ir_version_3_whose_constants_are_inputs_is_brought_to_opset_21(save):
    proto = build(opset=7)
    proto.ir_version = 3
    proto.graph.input.append(helper.make_tensor_value_info("w", FLOAT, WEIGHT.shape))
    path, image = save(proto), np.random.default_rng(1).random((1, 3, 8, 8), np.float32)
    assert np.array_equal(run(simplify(source(path).graph), image), run(proto, image))


@pytest.mark.parametrize("declared", [[], [1, 4, 5, 5], [1, 4]], ids=str)
@pytest.mark.parametrize("opset", [7, 17])
def test_an_output_has_the_shape_that_the_graph_gives_it_whatever_the_file_declares(save, declared, opset):
    model = build(
        nodes=[helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Softmax", ["c"], ["y"], axis=1)]
    )
    model.opset_import[0].version = opset
    model.ir_version = 4
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", FLOAT, declared))
    found = source(save(model))
    assert [output.shape for output in found.outputs] == [(1, 4, 6, 6)]
    assert list(simplify(found.graph).graph.outputs[0].shape) == [1, 4, 6, 6]


def test_a_wrong_shape_inside_is_not_believed(save):
    model = build()
    model.graph.value_info.append(helper.make_tensor_value_info("c", FLOAT, [1, 4, 5, 5]))
    graph = source(save(model)).graph.graph
    assert {list(node.outputs[0].shape)[2] for node in graph if node.op_type == "Conv"} == {6}


@pytest.mark.parametrize(("operator", "attributes"), [("FastGelu", {}), ("QuickGelu", {"alpha": 1.5})])
def test_operators_of_onnx_runtime_have_shapes_too(save, operator, attributes):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node(operator, ["c"], ["a"], name="gelu", domain="com.microsoft", **attributes),
        helper.make_node("Relu", ["a"], ["y"], name="relu"),
    ]
    model = build(shape=("N", 3, 8, 8), nodes=nodes)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    graph = simplify(source(save(model)).graph)
    assert [list(node.outputs[0].shape) for node in graph.graph] == [[1, 4, 6, 6]] * 3
    np.testing.assert_allclose(run(graph, IMAGE), run(model, IMAGE), atol=1e-6)


@pytest.mark.parametrize("kind", ["name", "reference", "unmade", "opset of a function"])
def test_what_the_checker_lets_through_and_nothing_can_read_is_no_onnx_file(save, kind):
    model = build()
    node = model.graph.node[0]
    if kind == "reference":
        attribute = node.attribute.add(name="group", type=onnx.AttributeProto.INT)
        attribute.ref_attr_name = "alpha"
    elif kind == "opset of a function":
        node.domain, node.op_type = "own", "Fn"
        model.opset_import.append(helper.make_opsetid("own", 1))
        body, imports = [helper.make_node("Conv", ["a", "b"], ["c"])], [helper.make_opsetid("", 12)]
        model.functions.append(helper.make_function("own", "Fn", ["a", "b"], ["c"], body, imports))
    data = model.SerializeToString()
    path = save(model)
    if kind == "name":
        path.write_bytes(data.replace(b"conv", b"c\xbfnv"))
    elif kind == "unmade":
        loose = helper.make_node("If", ["flag"], ["y"], then_branch=branch("z"), else_branch=branch("z"))
        flag = numpy_helper.from_array(np.array(True), "flag")
        path = save(build(nodes=[*model.graph.node[:2], loose], constants=[flag], rank=4))
    error = refused("EK202", path)
    assert str(path) in error.where


def branch(reads):
    gives = helper.make_tensor_value_info("out", FLOAT, None)
    return helper.make_graph([helper.make_node("Identity", [reads], ["out"])], "branch", [], [gives])


def test_data_beside_the_working_directory_is_not_read_for_a_function(save, tmp_path, monkeypatch):
    (tmp_path / "secret.bin").write_bytes(np.full(4, 0.123, np.float32).tobytes())
    held = TensorProto(name="held", data_type=FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    held.external_data.add(key="location", value="secret.bin")
    body = [helper.make_node("Constant", [], ["held"], value=held), helper.make_node("Add", ["a", "held"], ["b"])]
    imports = [helper.make_opsetid("", 17)]
    model = build()
    model.graph.node.append(helper.make_node("Fn", ["y"], ["z"], domain="own"))
    model.graph.output[0].name = "z"
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(helper.make_function("own", "Fn", ["a"], ["b"], body, imports))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    refused("EK102", save(model, "sub/net.onnx"))
    assert save(model, "net.onnx").is_file()
    found = resolve(make_recipe(model="net.onnx", targets=("ort-fp32",)))
    assert found.graph is not None
