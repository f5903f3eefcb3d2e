"""What stays in float: attention's core, and sums that float nodes read; nothing of a convolutional network."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from edgekit.graph.runner import GraphRunner
from edgekit.passes import prepare_integer, simplify
from edgekit.quant import calibrate, quantize
from edgekit.quant.float_islands import float_islands
from edgekit.quant.operators import find_rule
from edgekit.quant.plan import make_plan
from edgekit.registry import models
from edgekit.target import QuantScheme
from edgekit.trace import trace
from edgekit.verify.parity import measure_sqnr_db

SHAPE = (1, 4, 8)
GENERATOR = np.random.default_rng(0)
TABLE = np.array([0, -100, 0, -100], np.float32)


def graph_of(*nodes: tuple[str, ...], output: str = "y") -> ir.Model:
    """Nodes as (operator, name of the output, names of the inputs); `x` is the input, W, g and T are constants."""
    constants = {"W": GENERATOR.standard_normal((8, 8)), "g": np.ones(8), "T": TABLE}
    used = {name for _, _, *inputs in nodes for name in inputs}
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node(op, inputs, [name], name=name, **({"perm": [0, 2, 1]} if op == "Transpose" else {}))
                for op, name, *inputs in nodes
            ],
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, SHAPE)],
            [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)],
            [
                numpy_helper.from_array(np.asarray(value, np.float32), name)
                for name, value in constants.items()
                if name in used
            ],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    return ir.serde.deserialize_model(onnx.shape_inference.infer_shapes(model))


ATTENTION = (
    ("MatMul", "q", "x", "W"),
    ("Transpose", "k", "q"),
    ("MatMul", "scores", "q", "k"),
    ("Add", "masked", "scores", "T"),
    ("Softmax", "p", "masked"),
    ("MatMul", "y", "p", "q"),
)


def test_the_core_of_attention_is_in_float_and_its_projections_are_not():
    assert float_islands(graph_of(*ATTENTION)) == {"scores", "masked", "p", "y"}


def test_a_classifiers_softmax_stays_fixed_point():
    graph = graph_of(("MatMul", "a", "x", "W"), ("Softmax", "y", "a"))
    assert float_islands(graph) == set()


def test_a_softmax_inside_a_graph_is_in_float_whatever_reads_it():
    graph = graph_of(("MatMul", "a", "x", "W"), ("Softmax", "p", "a"), ("Add", "s", "p", "g"), ("Log", "y", "s"))
    assert float_islands(graph) == {"p", "s"}


def test_a_softmax_at_the_end_keeps_its_integers():
    assert float_islands(graph_of(("MatMul", "a", "x", "W"), ("Softmax", "y", "a"))) == set()


def test_a_residual_stream_that_norms_read_is_in_float():
    graph = graph_of(
        ("MatMul", "a", "x", "W"),
        ("Add", "first", "a", "x"),
        ("LayerNormalization", "n", "first", "g"),
        ("MatMul", "b", "n", "W"),
        ("Add", "second", "b", "first"),
        ("Transpose", "moved", "second"),
        ("LayerNormalization", "y", "moved", "T"),
    )
    assert float_islands(graph) == {"first", "second"}


def test_a_gelu_is_in_float():
    assert float_islands(graph_of(("MatMul", "a", "x", "W"), ("Gelu", "y", "a"))) == {"y"}


def test_a_sum_that_is_the_output_keeps_its_integers():
    assert float_islands(graph_of(("MatMul", "a", "x", "W"), ("Add", "y", "a", "x"))) == set()


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b0", "resnet18"])
def test_a_convolutional_network_has_none(name):
    graph = prepare_integer(simplify(trace(models.get(name).build().eval(), (1, 3, 64, 64))))
    assert float_islands(graph) == set()


def test_the_plan_of_swin_quantizes_what_multiplies_and_what_moves():
    graph = prepare_integer(simplify(trace(models.get("swin_t").build().eval(), (1, 3, 64, 64))))
    rules = make_plan(graph).rules
    by_name = {node.name: node for node in graph.graph}
    quantized = {by_name[name].op_type for name in rules}
    left = {node.op_type for node in graph.graph if find_rule(node) and node.name not in rules}
    assert {"Gemm", "Conv", "Transpose", "Slice", "Concat"} <= quantized
    assert left == {"MatMul", "Softmax", "Gelu", "Add"}


class UnitLength(nn.Module):
    """Vectors of a map with an empty margin, divided by their length."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.head(nn.functional.normalize(nn.functional.pad(self.conv(x), (2, 2)), dim=1))


def test_a_divisor_that_is_kept_from_zero_stays_so():
    torch.manual_seed(0)
    graph = prepare_integer(simplify(trace(UnitLength().eval(), (1, 3, 8, 8))))
    images = np.random.default_rng(0).standard_normal((8, 3, 8, 8)).astype(np.float32)
    stored = quantize(graph, calibrate(graph, [images]), QuantScheme("int8", "int8"))
    [expected], [found] = (GraphRunner(model)(images).values() for model in (graph, stored))
    assert measure_sqnr_db(expected.astype(np.float64), found.astype(np.float64)) > 30
