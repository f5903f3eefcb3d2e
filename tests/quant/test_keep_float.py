"""Modules are kept in float32 by the paths that a user knows, and what is around them stays integer."""

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.graph.module_path import MODULE_KEY
from edgekit.quant.keep_float import check_patterns, matches, matching_nodes
from edgekit.quant.method import RUNGS, Method
from edgekit.quant.quantizer import Quantizer
from edgekit.target import QuantScheme

NET = """
    a = Conv(x, wa, ba)  b = Clip(a, zero, six)
    p = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(b)
    c = Conv(p, wc, bc)  d = Relu(c)
    j = Concat<axis=1>(p, d)
    e = Conv(j, we, be)
    y = GlobalAveragePool(e)
"""
PATHS = {
    "a": "stem.conv",
    "b": "stem.act",
    "p": "stem.pool",
    "c": "body.0.conv",
    "d": "body.0.act",
    "j": "body",
    "e": "head",
    "y": "head.pool",
}
SCHEMES = {"int8": QuantScheme("int8", "int8"), "int16": QuantScheme("int8", "int16")}


@pytest.fixture(scope="module")
def net(graph):
    rng = np.random.default_rng(0)
    model = graph(
        NET,
        wa=rng.normal(0, 0.5, (8, 4, 1, 1)),
        ba=rng.normal(0, 0.1, 8),
        wc=rng.normal(0, 0.3, (8, 8, 1, 1)),
        bc=rng.normal(0, 0.1, 8),
        we=rng.normal(0, 0.3, (4, 16, 1, 1)),
        be=np.zeros(4),
        zero=np.float32(0),
        six=np.float32(6),
    )
    for node in model.graph:
        node.metadata_props[MODULE_KEY] = PATHS[node.outputs[0].name]
    return model


def kept(net, *patterns):
    return " ".join(name.removeprefix("n_") for name in matching_nodes(net, patterns))


@pytest.mark.parametrize(
    ("path", "pattern", "wanted"),
    [
        ("head", "head", True),
        ("head", "head.*", True),
        ("head.fc", "head.*", True),
        ("head.fc.0", "head.*", True),
        ("header", "head.*", False),
        ("header", "head*", True),
        ("features.0", "features.0", True),
        ("features.0.conv", "features.0", True),
        ("features.01", "features.0", False),
        ("features.10.conv", "features.1", False),
        ("layer4.1.conv2", "layer4.*.conv2", True),
        ("layer4.1.conv1", "layer4.*.conv2", False),
        ("features.3.block", "features.[34]", True),
        ("features.5.block", "features.[34]", False),
        ("Head", "head", False),
    ],
)
def test_a_pattern_names_modules_and_all_that_is_in_them(path, pattern, wanted):
    assert matches(path, pattern) == wanted


def test_the_nodes_come_in_graph_order_each_once(net):
    assert kept(net, "head.*", "head", "stem.conv") == "a e y"
    assert kept(net, "body") == "c d j"
    assert kept(net) == ""


def test_an_operator_without_a_module_path_goes_by_its_name(graph):
    model = graph("r = Relu(x)  y = Conv(r, w)", w=np.ones((4, 4, 1, 1)))
    for node in model.graph:
        del node.metadata_props[MODULE_KEY]
    assert matching_nodes(model, ["n_r"]) == ("n_r",)


@pytest.mark.parametrize(
    ("pattern", "fix"),
    [
        ("haed.*", "did you mean head?"),
        ("body.0.cnov", "did you mean body.0.conv"),
        ("zzz", "outermost modules with operators: stem, body, head"),
        ("*.bn", "outermost modules"),
    ],
)
def test_a_pattern_that_matches_nothing_gets_near_misses(net, pattern, fix):
    with pytest.raises(EdgekitError) as raised:
        check_patterns(net, ["head", pattern])
    error = raised.value
    assert (error.code, error.what) == ("EK106", f"no operator of the model is in {pattern!r}")
    assert error.fix.startswith(fix)


def test_long_lists_of_modules_are_cut(graph):
    model = graph(" ".join(f"v{i} = Relu({f'v{i - 1}' if i else 'x'})" for i in range(19)) + " y = Relu(v18)")
    for index, node in enumerate(model.graph):
        node.metadata_props[MODULE_KEY] = f"m{index}"
    with pytest.raises(EdgekitError, match="m10, m11, and 8 more"):
        matching_nodes(model, ["zzz"])


def test_all_in_float_is_refused(net):
    with pytest.raises(EdgekitError) as raised:
        matching_nodes(net, ["stem", "body", "head"])
    assert (raised.value.code, raised.value.where) == ("EK106", "--keep-float stem body head")


@pytest.mark.parametrize("path", dict.fromkeys([*PATHS.values(), "stem"]))
@pytest.mark.parametrize(("dtype", "rung"), [("int8", "mse"), ("int8", "corrected"), ("int16", "expanded")])
def test_a_module_stays_in_float_with_a_rung_and_the_rest_does_not(net, images, evaluate, path, dtype, rung):
    names = matching_nodes(net, [path])
    found = Quantizer(net, lambda: iter([images]), keep_float=names).quantize(RUNGS[dtype][rung], SCHEMES[dtype])
    graph = found.write()
    convolutions = {node.name: node for node in graph.graph if node.op_type == "Conv"}
    in_float = {name for name, node in convolutions.items() if node.inputs[1].producer() is None}
    assert in_float == set(names) & {"n_a", "n_c", "n_e"}
    assert found.method.keep_float == names
    assert not set(names) & set(found.plan.rules)
    assert found.plan.rules
    reference = evaluate(net, images)
    assert np.square(evaluate(graph, images) - reference).sum() < 0.02 * np.square(reference).sum()


def test_what_the_recipe_keeps_and_what_the_ladder_keeps_are_both_in_float(net, images):
    quantizer = Quantizer(net, lambda: iter([images]), keep_float=matching_nodes(net, ["head"]))
    found = quantizer.quantize(Method(keep_float=("n_a", "n_e")), SCHEMES["int8"])
    assert found.method.keep_float == ("n_e", "n_y", "n_a")
    assert not {"n_a", "n_e", "n_y"} & set(found.plan.rules)


def test_nothing_kept_is_the_quantizer_as_it_was(net, images):
    (one, other) = (
        Quantizer(net, lambda: iter([images]), keep_float=names).quantize(Method(), SCHEMES["int8"])
        for names in ((), ("n_nothing",))
    )
    assert one.params == other.params
