"""Constants as the real numbers that their integers stand for."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgekit.graph.session import open_graph
from edgekit.graph.stored_constants import restore_constants
from edgekit.passes import prepare_integer, simplify
from edgekit.quant.assign import assign
from edgekit.quant.calibrate import calibrate
from edgekit.quant.layers import constant_layers, store_layers
from edgekit.quant.plan import make_plan
from edgekit.quant.qdq import quantize, write_pairs
from edgekit.target import QuantScheme
from edgekit.trace import trace


def images():
    return np.random.default_rng(0).normal(size=(4, 3, 12, 12)).astype(np.float32)


@pytest.fixture
def made():
    """The float graph and its ranges."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 24, 3), nn.ReLU(), nn.Conv2d(24, 24, 3), nn.Flatten(), nn.Linear(24 * 64, 7))
    graph = prepare_integer(simplify(trace(net.eval(), (1, 3, 12, 12))))
    return graph, calibrate(graph, [images()])


def outputs(graph):
    session = open_graph(graph, "net", session_disable_quant_qdq="1")
    name = session.get_inputs()[0].name
    return [session.run(None, {name: image[None]})[0] for image in images()]


def stored_constants(graph):
    operator = "DequantizeLinear"
    return [n for n in graph.graph if n.op_type == operator and n.inputs[0].const_value is not None]


def write_real(model, ranges, dtype):
    """The quantized graph, written with real numbers from the start."""
    plan = make_plan(model)
    params = assign(model, plan, ranges, dtype)
    layers = store_layers(constant_layers(model, plan), params, ranges)
    return write_pairs(model.clone(), plan, params, layers, dtype, real_constants=True)


@pytest.mark.parametrize("scheme", [QuantScheme("int8", "int8"), QuantScheme("int16", "int8")])
def test_the_runtime_gives_the_same_to_the_last_bit(made, scheme):
    graph = quantize(*made, scheme)
    restored, written = restore_constants(graph), write_real(*made, scheme.activation)
    assert len(stored_constants(graph)) == 6
    assert not stored_constants(restored)
    assert not stored_constants(written)
    expected = outputs(graph)
    np.testing.assert_array_equal(outputs(restored), expected)
    np.testing.assert_array_equal(outputs(written), expected)


def test_the_graph_itself_keeps_its_integers(made):
    graph = quantize(*made, QuantScheme("int8", "int8"))
    before = ir.to_proto(graph).SerializeToString(deterministic=True)
    outputs(restore_constants(graph))
    assert ir.to_proto(graph).SerializeToString(deterministic=True) == before


def test_a_graph_without_such_constants_is_not_copied(made):
    assert restore_constants(made[0]) is made[0]


def test_opening_a_graph_leaves_its_weights_where_they_were(made):
    before = ir.to_proto(made[0]).SerializeToString(deterministic=True)
    outputs(made[0])
    assert ir.to_proto(made[0]).SerializeToString(deterministic=True) == before
