"""The knobs of a method: each changes what is listed for it, and a recipe's table [method] has the same ones."""

from dataclasses import fields, replace
from typing import get_args, get_type_hints

import numpy as np
import onnx_ir as ir
import pytest

from edgekit.quant.method import KNOBS, RUNGS, Method
from edgekit.quant.quantizer import Quantizer
from edgekit.recipe import OwnMethod
from edgekit.target import QuantScheme

OTHER = {"criterion": "min-max", "equalize": True, "expand": True, "rounding": "adaptive", "bias": "none"}
"""Each knob, turned from where Method has it."""

NET = """
    e = Conv(x, we, be)  r = Relu(e)
    d = Conv<group=16, pads=[1, 1, 1, 1]>(r, wd, bd)  s = Relu(d)
    f = Conv(s, wf, bf)  y = GlobalAveragePool(f)
"""


@pytest.fixture(scope="module")
def quantizer(graph, images):
    """Of a net with channels that differ by a thousand, so that every knob has something to do."""
    rng, spread = np.random.default_rng(0), 10.0 ** np.linspace(-1.5, 1.5, 16)
    model = graph(
        NET,
        we=spread.reshape(-1, 1, 1, 1) * rng.normal(0, 0.5, (16, 4, 1, 1)),
        be=0.1 * spread,
        wd=rng.normal(0, 0.3, (16, 1, 3, 3)),
        bd=rng.normal(0, 0.1, 16),
        wf=rng.normal(0, 0.3, (10, 16, 1, 1)) / spread.reshape(1, -1, 1, 1),
        bf=np.zeros(10),
    )
    return Quantizer(model, lambda: iter([images]))


def written(quantizer, method, dtype):
    return ir.to_proto(quantizer.quantize(method, QuantScheme("int8", dtype)).write()).SerializeToString()


@pytest.mark.parametrize("knob", OTHER)
@pytest.mark.parametrize("dtype", KNOBS)
def test_a_knob_changes_the_graph_where_it_is_listed_and_nowhere_else(quantizer, dtype, knob):
    turned = written(quantizer, replace(Method(), **{knob: OTHER[knob]}), dtype)
    assert (turned != written(quantizer, Method(), dtype)) == (knob in KNOBS[dtype])


@pytest.mark.parametrize("criterion", [c for c in get_args(get_type_hints(Method)["criterion"]) if c != "relative"])
def test_every_criterion_chooses_ranges_of_its_own(quantizer, criterion):
    others = {written(quantizer, Method(other), "int8") for other in ("mse", "min-max") if other != criterion}
    assert written(quantizer, Method(criterion), "int8") not in others


def test_weights_are_rounded_for_the_ranges_of_their_own_criterion(quantizer, graph, images):
    """One quantizer makes what a fresh one does, whatever it made before."""
    method = Method("min-max", rounding="adaptive")
    written(quantizer, Method(rounding="adaptive"), "int8")
    fresh = Quantizer(quantizer.model, lambda: iter([images]))
    assert written(quantizer, method, "int8") == written(fresh, method, "int8")


def test_an_expanded_graph_is_not_equalized(quantizer):
    both, one = Method(expand=True, equalize=True), Method(expand=True)
    assert written(quantizer, both, "int8") == written(quantizer, one, "int8")


def test_a_recipes_table_has_the_knobs_of_a_method():
    knobs, table = get_type_hints(Method), get_type_hints(OwnMethod)
    assert set(table) == {*knobs, "base"}
    assert {knob: table[knob] for knob in KNOBS["int8"]} == {knob: knobs[knob] | None for knob in KNOBS["int8"]}
    assert {field.name for field in fields(Method)} == {*KNOBS["int8"], "keep_float"}


@pytest.mark.parametrize("dtype", RUNGS)
def test_no_rung_turns_a_knob_that_does_nothing_there(dtype):
    for method in RUNGS[dtype].values():
        assert all(getattr(method, knob) == getattr(Method(), knob) for knob in set(KNOBS["int8"]) - set(KNOBS[dtype]))
