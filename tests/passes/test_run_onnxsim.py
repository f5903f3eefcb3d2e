"""Shape arithmetic that our own passes cannot evaluate."""

import pytest
from pass_graphs import MODULE_KEY, Graph, assert_left_alone, assert_same, op_types, run

from edgekit.errors import EdgekitError
from edgekit.passes.run_onnxsim import run_onnxsim


def arithmetic():
    g = Graph()
    x = g.op("Relu", g.input(2, 3, 4))
    sizes = g.op("Shape", x)
    kept = g.op("Slice", sizes, g.integers(0), g.integers(1))
    target = g.op("Concat", kept, g.integers(-1), axis=0)
    return g.model(g.op("Neg", g.op("Reshape", x, g.op("Cast", target, to=7))))


def test_shape_arithmetic_is_evaluated():
    model = arithmetic()
    expected = run(model)
    assert run_onnxsim(model)
    assert op_types(model) == ["Relu", "Reshape", "Neg"]
    assert_same(run(model), expected)
    assert_left_alone(run_onnxsim, model)


def test_the_nodes_that_are_left_keep_their_module():
    model = arithmetic()
    before = {node.name: node.metadata_props[MODULE_KEY] for node in model.graph}
    assert run_onnxsim(model)
    assert {node.name: node.metadata_props.get(MODULE_KEY) for node in model.graph}.items() <= before.items()


def test_a_graph_without_shape_arithmetic_is_left_alone():
    g = Graph()
    assert_left_alone(run_onnxsim, g.model(g.op("Identity", g.op("Relu", g.input(2, 3)))))


def test_a_failure_is_an_error_with_its_reason():
    g = Graph()
    model = g.model(g.op("Expand", g.input(2, 3), g.integers(2, 3)))
    model.graph.node(0).op_type = "Cast"
    with pytest.raises(EdgekitError, match="onnxsim failed: ") as refused:
        run_onnxsim(model)
    assert refused.value.code == "EK204"
    assert refused.value.where == "net"
