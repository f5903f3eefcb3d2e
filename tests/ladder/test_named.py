"""Which method a recipe names for which activations, and which targets cannot have it."""

import pytest

from edgekit.errors import EdgekitError
from edgekit.ladder.named import check_method, named_rung, refuse_quantized, rung_of_quality
from edgekit.quant.method import RUNGS, Method
from edgekit.recipe import make_recipe
from edgekit.target import targets

BOTH = ("tflite-int8", "tflite-int16x8")


def recipe(**choices):
    return make_recipe(**{"model": "net.onnx", "targets": ("tflite-int8",), **choices})


def check(*names, **choices):
    check_method(recipe(targets=names, **choices), [targets.get(name) for name in names])


def refused(*names, **choices):
    with pytest.raises(EdgekitError) as raised:
        check(*names, **choices)
    return raised.value


@pytest.mark.parametrize(("dtype", "name"), [(dtype, name) for dtype, rungs in RUNGS.items() for name in rungs])
def test_a_rung_has_its_name(dtype, name):
    found = named_rung(recipe(method=name), dtype)
    assert (found.name, found.method) == (name, RUNGS[dtype][name])


def test_without_a_method_the_quality_says_it():
    assert named_rung(recipe(), "int8") is None
    assert rung_of_quality(recipe(), "int8").name == "equalized"
    assert rung_of_quality(recipe(quality="best"), "int8").name == "corrected"


def test_a_table_turns_the_knobs_of_its_base():
    own = recipe(method={"base": "adaround", "criterion": "percentile", "bias": "none"})
    found = named_rung(own, "int8")
    assert (found.name, found.method) == ("own", Method("percentile", equalize=True, rounding="adaptive", bias="none"))


def test_a_table_without_a_base_starts_from_the_plain_method():
    assert named_rung(recipe(method={"rounding": "adaptive"}), "int8").method == Method(rounding="adaptive")
    assert named_rung(recipe(method={}), "int16").method == Method()


def test_a_knob_that_changes_nothing_is_not_said_to_be_turned():
    table = recipe(method={"equalize": True, "criterion": "entropy", "bias": "none"})
    assert named_rung(table, "int16").method == Method(bias="none")
    assert not named_rung(recipe(method={"base": "equalized", "expand": True}), "int8").method.equalize


@pytest.mark.parametrize(
    ("names", "choices"),
    [
        (("ort-fp32",), {}),
        (("ort-fp32", "tflite-int8"), {"method": "adaround"}),
        (BOTH, {"method": "adaround"}),
        (("tflite-int8",), {"method": "min-max"}),
        (("tflite-int16x8",), {"method": "expanded"}),
        (BOTH, {"method": {"criterion": "mse"}}),
        (("tflite-int16x8",), {"method": {"base": "corrected", "expand": True}}),
        (("ort-int8", "ort-fp32"), {"keep_float": "head"}),
    ],
)
def test_what_the_targets_can_have_is_not_refused(names, choices):
    check(*names, **choices)


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("adarond", "did you mean adaround?"),
        ("Expanded", "did you mean expanded?"),
        ("own", "known are for int8: min-max, mse, equalized, adaround, corrected; int16: nearest"),
    ],
)
@pytest.mark.parametrize("as_base", [False, True])
def test_a_rung_that_there_is_not_gets_near_misses(name, fix, as_base):
    error = refused("tflite-int8", method={"base": name} if as_base else name)
    assert (error.code, error.where) == ("EK106", "--method")
    assert error.fix.startswith(fix)


def test_a_rung_of_other_activations_is_refused_with_those_that_exist():
    error = refused(*BOTH, method="min-max")
    assert (error.code, error.what) == (
        "EK302",
        "there is no method min-max for int16 activations, which tflite-int16x8 has",
    )
    assert "nearest, analytic, adaround, corrected, expanded" in error.fix
    assert refused("tflite-int8", method={"base": "expanded"}).code == "EK302"


@pytest.mark.parametrize("names", [("tflite-fp32",), ("ort-fp32", "tflite-dynamic", "tflite-fp16")])
@pytest.mark.parametrize(
    ("choices", "where"),
    [
        ({"method": "adaround"}, "--method"),
        ({"method": {"bias": "none"}}, "--method"),
        ({"keep_float": "head"}, "--keep-float"),
        ({"method": {"keep_float": "head"}}, "--method, --keep-float"),
    ],
)
def test_float_targets_have_no_method(names, choices, where):
    error = refused(*names, **choices)
    assert (error.code, error.where) == ("EK302", where)
    assert all(name in error.what for name in names)


def test_a_knob_that_no_target_has_is_refused():
    error = refused("tflite-int16x8", method={"criterion": "mse", "equalize": True})
    assert (error.code, error.fix) == ("EK302", "knobs there: expand, rounding, bias")
    assert error.what == "criterion and equalize of [method] mean nothing for int16 activations"


def test_knobs_that_exclude_each_other_are_refused():
    assert refused("tflite-int8", method={"equalize": True, "expand": True}).code == "EK106"


def test_a_graph_that_is_quantized_has_its_method():
    refuse_quantized(recipe())
    for choices in ({"method": "mse"}, {"keep_float": "a"}):
        with pytest.raises(EdgekitError) as raised:
            refuse_quantized(recipe(**choices))
        assert (raised.value.code, raised.value.where) == ("EK302", "net.onnx")
