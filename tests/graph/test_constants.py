"""The constants of a graph: which of them something reads."""

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper

from edgekit.graph.constants import new_initializer, remove_unread


def number(name):
    return helper.make_tensor(name, TensorProto.FLOAT, (), (1.0,))


def graph_of(*nodes, outputs, constants, name="net", inputs=()):
    values = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ()) for output in outputs]
    return helper.make_graph(nodes, name, list(inputs), values, [number(constant) for constant in constants])


def test_what_a_node_reads_or_the_graph_gives_is_kept_and_the_rest_is_not():
    """`inner` is read by a branch alone, which has a constant of its own that nothing reads."""
    adds = helper.make_node("Add", ["inner", "mine"], ["sum"])
    branch = graph_of(adds, outputs=["sum"], constants=["mine", "lost"], name="branch")
    other = graph_of(helper.make_node("Neg", ["read"], ["negative"]), outputs=["negative"], constants=[], name="other")
    chooses = helper.make_node("If", ["flag"], ["chosen"], then_branch=branch, else_branch=other)
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, ())
    outer = graph_of(
        chooses, outputs=["chosen", "given"], constants=["inner", "read", "given", "unread"], inputs=[flag]
    )
    model = ir.from_proto(helper.make_model(outer, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))
    remove_unread(model)
    kept = {graph.name: set(graph.initializers) for graph in model.graphs()}
    assert kept == {"net": {"inner", "read", "given"}, "branch": {"mine"}, "other": set()}


def test_a_new_constant_keeps_its_rank_and_its_values():
    graph = ir.Graph([], [], nodes=[], name="net")
    for name, array in (("scalar", np.float32(3)), ("turned", np.arange(6, dtype=np.int8).reshape(2, 3).T)):
        value = new_initializer(graph, name, array)
        assert graph.initializers[name] is value
        assert (tuple(value.shape), value.dtype.numpy()) == (array.shape, array.dtype)
        assert np.array_equal(value.const_value.numpy(), array)
