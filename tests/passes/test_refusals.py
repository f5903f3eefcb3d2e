"""What simplify refuses, and how it says so."""

import numpy as np
import onnx_ir as ir
import pytest
from pass_graphs import Graph

from edgekit.errors import EdgekitError
from edgekit.passes import run_to_fixed_point, simplify


def refusal(model):
    with pytest.raises(EdgekitError) as refused:
        simplify(model)
    return refused.value


@pytest.mark.parametrize("shape", [("batch", 3, 8, 8), (1, 3, "height", "width")])
def test_a_dynamic_input_is_ek203_and_named(shape):
    g = Graph()
    error = refusal(ir.from_proto(g.proto(g.op("Relu", g.input(*shape)))))
    assert (error.code, error.where) == ("EK203", "in0")
    assert "--input-size" in error.fix


def test_a_quantized_graph_is_ek204():
    g = Graph()
    scale, zero = g.constant(0.1), g.constant(3, "uint8")
    stored = g.op("QuantizeLinear", g.input(1, 4), scale, zero)
    error = refusal(g.model(g.op("DequantizeLinear", stored, scale, zero)))
    assert (error.code, error.where) == ("EK204", "quantizelinear0")
    assert "already quantized: 2 nodes" in error.what


@pytest.mark.parametrize("left_on", [True, False])
def test_dropout_is_refused_where_it_is_left_on(left_on):
    g = Graph()
    x = g.input(1, 3, 4, 4)
    model = g.model(g.op("Relu", g.op("Dropout", x, g.constant(np.float32(0.5)), g.constant(np.array(left_on)))))
    if left_on:
        with pytest.raises(EdgekitError, match=r"EK204 the model draws random numbers \(Dropout\)"):
            simplify(model)
    else:
        assert [node.op_type for node in simplify(model).graph] == ["Relu"]


@pytest.mark.parametrize("op", ["RandomNormalLike", "Bernoulli"])
def test_a_graph_that_draws_random_numbers_is_ek204_and_named(op):
    g = Graph()
    x = g.input(1, 4)
    error = refusal(g.model(g.op("Add", x, g.op(op, x))))
    assert (error.code, error.where) == ("EK204", f"{op.lower()}0")
    assert f"random numbers ({op})" in error.what


def test_random_numbers_that_nobody_reads_are_no_matter():
    g = Graph()
    x = g.input(1, 4)
    g.op("RandomNormalLike", x)
    assert [node.op_type for node in simplify(g.model(g.op("Relu", x))).graph] == ["Relu"]


def test_a_graph_that_onnx_cannot_convert_is_ek204():
    g = Graph()
    model = g.model(g.conv(g.input(1, 3, 4, 4), 3, 4), opset=11)
    model.ir_version = 3  # in which every constant must be an input too
    error = refusal(model)
    assert error.code == "EK204"
    assert "cannot be converted from opset 11" in error.what


def test_a_shape_that_depends_on_the_data_is_ek204_with_a_row_per_node():
    g = Graph()
    found = g.op("NonZero", g.input(1, 4))
    error = refusal(ir.from_proto(g.proto(g.op("Transpose", found))))
    assert error.code == "EK204"
    assert error.table.columns == ("node", "op", "module")
    assert error.table.rows == (("nonzero0", "NonZero", "layers.0"), ("transpose1", "Transpose", "layers.1"))


def test_passes_that_undo_each_other_are_ek204_and_named():
    def flip(model):
        model.graph.name = "b" if model.graph.name == "a" else "a"
        return True

    g = Graph()
    with pytest.raises(EdgekitError, match="does not settle") as refused:
        run_to_fixed_point(g.model(g.op("Relu", g.input(1, 2))), [flip])
    assert (refused.value.code, refused.value.where) == ("EK204", "flip")
