"""Which values become integers, which share parameters, which must be observed."""

import numpy as np
import pytest

from edgekit.quant.operators import RULES, find_rule
from edgekit.quant.plan import make_plan

WEIGHT, BIAS = np.full((4, 4, 1, 1), 0.5), np.zeros(4)


def members(plan, name):
    return {value for value, group in plan.group.items() if group == plan.group[name]}


def test_a_linear_layer_has_an_input_and_an_output_and_no_quantized_weight(graph):
    plan = make_plan(graph("y = Conv(x, w, b)", w=WEIGHT, b=BIAS))
    assert plan.values == ("x", "y")
    assert plan.group["x"] != plan.group["y"]
    assert plan.observed == ("x", "y")
    assert plan.averaged == {"x": 1}


@pytest.mark.parametrize("activation", ["Relu(c)", "Clip(c, low, high)"])
@pytest.mark.parametrize("operator", ["Conv(x, w, b)", "Add(x, x)", "Mul(x, k)"])
def test_nothing_stands_between_an_operator_and_the_activation_behind_it(graph, operator, activation):
    constants = {"w": WEIGHT, "b": BIAS, "k": BIAS + 2, "low": np.float32(0), "high": np.float32(6)}
    constants["k"] = constants["k"].reshape(4, 1, 1)
    plan = make_plan(graph(f"c = {operator} y = {activation}", **constants))
    assert plan.values == ("x", "y")


def test_a_result_with_another_reader_keeps_its_own_pair(graph):
    plan = make_plan(graph("c = Conv(x, w, b) r = Relu(c) y = Add(r, c)", w=WEIGHT, b=BIAS))
    assert plan.values == ("x", "c", "r", "y")


def test_a_result_that_is_an_output_keeps_its_own_pair(graph):
    both = "float[?,?,?,?] c, float[?,?,?,?] y"
    assert "c" in make_plan(graph("c = Conv(x, w, b) y = Relu(c)", outputs=both, w=WEIGHT, b=BIAS)).values


@pytest.mark.parametrize(
    "body",
    [
        "a = Relu(x) y = MaxPool<kernel_shape=[2, 2]>(a)",
        "a = Relu(x) y = AveragePool<kernel_shape=[2, 2]>(a)",
        "a = Relu(x) y = Transpose<perm=[0, 1, 3, 2]>(a)",
        "a = Relu(x) y = Reshape(a, shape)",
        "a = Relu(x) y = DepthToSpace<blocksize=2>(a)",
    ],
)
def test_an_operator_that_moves_values_shares_the_parameters_of_its_operand(graph, body):
    plan = make_plan(graph(body, shape=np.array([1, 2, 2, 36], np.int64)))
    assert members(plan, "a") == {"a", "y"}
    assert plan.sources[plan.group["a"]] == ("a",)
    assert "y" not in plan.observed


def test_a_chain_of_moves_is_one_group(graph):
    body = "a = Relu(x) b = MaxPool<kernel_shape=[2, 2]>(a) y = Transpose<perm=[0, 1, 3, 2]>(b)"
    assert members(make_plan(graph(body)), "a") == {"a", "b", "y"}


def test_concatenated_operands_share_one_set_of_parameters_over_all_their_ranges(graph):
    plan = make_plan(graph("a = Relu(x) b = Add(x, x) y = Concat<axis=1>(a, b)"))
    assert members(plan, "y") == {"a", "b", "y"}
    assert set(plan.sources[plan.group["y"]]) == {"a", "b"}


def test_the_parts_of_a_split_share_parameters(graph):
    plan = make_plan(graph("a = Relu(x) b, c = Split<axis=1, num_outputs=2>(a) y = Add(b, c)"))
    assert members(plan, "a") == {"a", "b", "c"}


@pytest.mark.parametrize(("operator", "observed"), [("Sigmoid", ("x",)), ("Tanh", ("x",)), ("Softmax", ("x", "y"))])
def test_outputs_that_kernels_fix_are_not_observed_but_probabilities(graph, operator, observed):
    plan = make_plan(graph(f"y = {operator}(x)"))
    assert plan.fixed == {plan.group["y"]: operator}
    assert plan.observed == observed


def test_an_operand_with_fixed_parameters_is_requantized_for_a_concat_of_others(graph):
    plan = make_plan(graph("a = Sigmoid(x) b = Relu(x) y = Concat<axis=1>(a, b)"))
    assert plan.requantized == {("n_y", 0)}
    assert members(plan, "y") == {"b", "y"}
    assert set(plan.sources[plan.group["y"]]) == {"a", "b"}


def test_operands_fixed_by_the_same_operator_need_no_requantization(graph):
    plan = make_plan(graph("a = Sigmoid(x) b = Sigmoid(x) y = Concat<axis=1>(a, b)"))
    assert plan.requantized == frozenset()
    assert members(plan, "y") == {"a", "b", "y"}


@pytest.mark.parametrize(
    ("body", "float_node"),
    [
        ("a = Relu(x) b = Erf(a) y = Relu(b)", "n_b"),
        ('a = Relu(x) b = Resize<mode="cubic">(a, , scales) y = Relu(b)', "n_b"),
        ("a = Relu(x) b = Pad(a, pads, one) y = Relu(b)", "n_b"),
        ("a = Relu(x) b, i = MaxPool<kernel_shape=[2, 2]>(a) y = Relu(b)", "n_b"),
    ],
    ids=["no rule", "cubic", "pads with one", "indices"],
)
def test_what_no_integer_kernel_computes_stays_in_float(graph, body, float_node):
    constants = {"scales": np.array([1, 1, 2, 2], np.float32), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)}
    plan = make_plan(graph(body, one=np.float32(1), **constants))
    assert float_node not in plan.rules
    assert {"n_a", "n_y"} <= plan.rules.keys()
    assert {"a", "y"} <= set(plan.values)


def test_an_index_is_read_from_integers_and_is_none(graph):
    plan = make_plan(graph("y = ArgMax<axis=1>(x)", outputs="int64[?,?,?,?] y"))
    assert plan.values == ("x",)


def test_a_matrix_product_by_a_constant_counts_channels_last(graph):
    plan = make_plan(graph("y = MatMul(x, w)", w=np.ones((6, 3))))
    assert plan.averaged == {"x": -1}
    assert make_plan(graph("y = MatMul(x, x)")).averaged == {}


def test_a_shape_computation_is_not_quantized(graph):
    model = graph("s = Shape(x) t = Concat<axis=0>(s) y = Reshape(x, t)")
    rules = {node.op_type: find_rule(node) for node in model.graph}
    assert rules["Concat"] is None
    assert rules["Reshape"] is None, "its shape is no constant"


def test_every_rule_has_a_role_that_is_described():
    assert {rule.role for rule in RULES.values()} == {"linear", "arithmetic", "own", "fixed", "same", "reads"}
