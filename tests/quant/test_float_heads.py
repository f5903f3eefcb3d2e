"""What stays in float because its numbers are too small for the scale that it would share."""

import numpy as np
import onnx_ir as ir
import pytest

from edgekit.graph.runner import GraphRunner
from edgekit.passes import prepare_integer, simplify
from edgekit.quant.fixed_steps import fixed_steps
from edgekit.quant.method import Method, keeping
from edgekit.quant.quantizer import Quantizer
from edgekit.target import QuantScheme

INT8 = QuantScheme("int8", "int8")
IMAGES = np.random.default_rng(0).uniform(-1, 1, (8, 3, 8, 8)).astype(np.float32)
HEAD = """<ir_version: 10, opset_import: ["" : 21]> head (float[1,3,8,8] input) => (float[{shape}] output)
<int64[3] flat = {{1, 3, 64}}, float far = {{{far}}}, float[1,1,64] places = {{{places}}}, int64[1] last = {{2}}>
{{ {body} }}"""


def made(body, shape, far=100.0):
    places = ", ".join(f"{place / 64}" for place in range(64))
    return simplify(ir.from_onnx_text(HEAD.format(body=body, shape=shape, far=far, places=places)))


DETECTOR = """rows = Reshape (input, flat) boxes = Mul (rows, far) scores = Sigmoid (rows)
output = Concat <axis = 1> (boxes, scores)"""
SOFT_ARGMAX = """rows = Reshape (input, flat) heat = Softmax <axis = 2> (rows) weighed = Mul (heat, places)
output = ReduceSum <keepdims = 0> (weighed, last)"""


def quantized(graph, scheme=INT8):
    quantizer = Quantizer(prepare_integer(graph), lambda: iter([IMAGES]))
    return quantizer.quantize(Method(), scheme).write()


def sqnr_by_channel(graph, qdq):
    (reference,), (actual,) = (GraphRunner(each)(IMAGES).values() for each in (graph, qdq))
    error, signal = np.square(reference - actual), np.square(reference - reference.mean((0, 2), keepdims=True))
    return 10 * np.log10(signal.mean((0, 2)) / error.mean((0, 2)))


def in_float(qdq, operator):
    """Whether no operand of the operator comes out of a DequantizeLinear of its own result's scale."""
    (node,) = (node for node in qdq.graph if node.op_type == operator)
    return not any(reader.op_type == "QuantizeLinear" for reader, _ in node.outputs[0].uses())


def test_boxes_and_scores_keep_scales_of_their_own_behind_the_last_concat():
    graph = made(DETECTOR, "1,6,64")
    qdq = quantized(graph)
    assert in_float(qdq, "Concat")
    assert sqnr_by_channel(graph, qdq).min() > 30


def test_parts_of_one_size_share_a_scale_as_ever():
    assert not in_float(quantized(made(DETECTOR, "1,6,64", far=1.0)), "Concat")


def test_sixteen_bits_hold_more():
    scheme = QuantScheme("int8", "int16")
    assert not in_float(quantized(made(DETECTOR, "1,6,64", far=40.0), scheme), "Concat")
    assert in_float(quantized(made(DETECTOR, "1,6,64", far=400.0), scheme), "Concat")


def test_a_softmax_of_many_places_keeps_its_digits():
    graph = made(SOFT_ARGMAX, "1,3")
    qdq = quantized(graph)
    assert in_float(qdq, "Softmax")
    (reference,), (actual,) = (GraphRunner(each)(IMAGES).values() for each in (graph, qdq))
    assert np.square(reference - actual).mean() < 0.01 * reference.var()


def test_a_softmax_of_few_classes_is_stored_as_ever():
    graph = made("rows = Reshape (input, flat) output = Softmax <axis = 1> (rows)", "1,3,64")
    assert not in_float(quantized(graph), "Softmax")


@pytest.mark.parametrize(("body", "steps"), [(DETECTOR, {"output": 1 / 256}), ("output = Mul (input, far)", {})])
def test_a_kernels_own_step_is_known_behind_what_only_moves_values(body, steps):
    shape = "1,6,64" if "Concat" in body else "1,3,8,8"
    assert fixed_steps(quantized(made(body, shape))) == steps


def test_a_gate_that_the_ladder_keeps_in_float_has_a_range_for_its_reader():
    graph = made("gate = Sigmoid (input) output = Mul (input, gate)", "1,3,8,8")
    quantizer = Quantizer(prepare_integer(graph), lambda: iter([IMAGES]))
    (sigmoid,) = (str(node.name) for node in quantizer.model.graph if node.op_type == "Sigmoid")
    qdq = quantizer.quantize(keeping(Method(), (sigmoid,)), INT8).write()
    (reference,), (actual,) = (GraphRunner(each)(IMAGES).values() for each in (graph, qdq))
    assert np.abs(reference - actual).max() < 0.02
