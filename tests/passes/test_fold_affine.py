"""Arithmetic per channel goes into the linear operator before it."""

import pytest
from pass_graphs import Graph, applied, assert_left_alone, op_types

from edgekit.passes.fold_affine import fold_affine


def linear(g, kind, **attributes):
    """A linear operator of 4 output channels."""
    x = g.input(2, 5) if kind == "Gemm" else g.input(1, 6, 5, 5)
    match kind:
        case "Conv":
            return g.conv(x, 6, 4, 3, **attributes)
        case "ConvTranspose":
            per_group = 4 // attributes.get("group", 1)
            return g.op("ConvTranspose", x, g.weights(6, per_group, 3, 3), g.weights(4), **attributes)
        case "Gemm":
            transposed = attributes.get("transB", 1)
            weights = g.weights(4, 5) if transposed else g.weights(5, 4)
            return g.op("Gemm", x, weights, g.weights(4), **{"transB": 1, **attributes})


KINDS = [
    ("Conv", {}),
    ("Conv", {"group": 2}),
    ("Conv", {"bias": False, "pads": [1] * 4}),
    ("ConvTranspose", {}),
    ("Gemm", {}),
    ("Gemm", {"transB": 0}),
]


@pytest.mark.parametrize(("kind", "attributes"), KINDS)
@pytest.mark.parametrize("op_type", ["Mul", "Div", "Add", "Sub"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_factor_or_an_offset_folds(kind, attributes, op_type, per_channel):
    g = Graph()
    result = linear(g, kind, **attributes)
    shape = ((4,) if kind == "Gemm" else (4, 1, 1)) if per_channel else ()
    number = g.constant(g.random.uniform(0.5, 2.0, shape))
    model = applied(fold_affine, g.model(g.op("Relu", g.op(op_type, result, number))))
    assert op_types(model) == [kind, "Relu"]


@pytest.mark.parametrize("op_type", ["Mul", "Add", "Sub"])
def test_the_constant_may_stand_first(op_type):
    g = Graph()
    number = g.constant(g.random.uniform(0.5, 2.0, (1, 4, 1, 1)))
    assert op_types(applied(fold_affine, g.model(g.op(op_type, number, linear(g, "Conv"))))) == ["Conv"]


def test_a_chain_folds_in_one_run():
    g = Graph()
    y = g.op("Add", g.op("Mul", linear(g, "Conv"), g.weights(4, 1, 1)), g.weights(1, 4, 1, 1))
    assert op_types(applied(fold_affine, g.model(g.op("Sub", g.constant(1.0), y)))) == ["Conv"]


def test_a_weight_that_another_node_reads_is_copied():
    g = Graph()
    x, weights, bias = g.input(1, 4, 3, 3), g.weights(4, 4, 1, 1), g.weights(4)
    first, second = g.op("Conv", x, weights, bias), g.op("Conv", x, weights, bias)
    model = applied(fold_affine, g.model(g.op("Mul", first, g.constant(3.0)), second))
    assert op_types(model) == ["Conv", "Conv"]


SKIPPED = {
    "constant / x": lambda g: g.op("Div", g.constant(2.0), linear(g, "Conv")),
    "x / 0": lambda g: g.op("Div", linear(g, "Conv"), g.constant([[[1.0]], [[0.0]], [[1.0]], [[1.0]]])),
    "over pixels": lambda g: g.op("Mul", linear(g, "Conv"), g.weights(3)),
    "over channels and pixels": lambda g: g.op("Add", linear(g, "Conv"), g.weights(1, 4, 3, 3)),
    "over rows": lambda g: g.op("Mul", linear(g, "Gemm"), g.weights(2, 1)),
    "broadcast": lambda g: g.op("Mul", linear(g, "Conv"), g.weights(2, 1, 1, 1)),
    "computed": lambda g: g.op("Mul", linear(g, "Conv"), g.op("Relu", g.input(4, 1, 1))),
    "grouped ConvTranspose": lambda g: g.op("Mul", linear(g, "ConvTranspose", group=2), g.constant(2.0)),
    "alpha": lambda g: g.op("Mul", linear(g, "Gemm", alpha=0.5), g.constant(2.0)),
    "no linear operator": lambda g: g.op("Mul", g.op("Relu", g.input(1, 4, 3, 3)), g.constant(2.0)),
    "computed weight": lambda g: g.op(
        "Mul", g.op("Conv", g.input(1, 2, 3, 3), g.op("Relu", g.input(4, 2, 1, 1))), g.constant(2.0)
    ),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_what_it_skips(name):
    g = Graph()
    assert_left_alone(fold_affine, g.model(SKIPPED[name](g)))


def test_a_linear_output_with_another_reader_is_skipped():
    g = Graph()
    y = linear(g, "Conv")
    assert_left_alone(fold_affine, g.model(g.op("Mul", y, g.constant(2.0)), g.op("Relu", y)))
    g = Graph()
    y = linear(g, "Conv")
    assert_left_alone(fold_affine, g.model(g.op("Mul", y, g.constant(2.0)), y))
