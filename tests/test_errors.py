"""Errors: a code from the catalogue, what, where, fix, and the exit code that scripts go by."""

import pickle

import pytest

from edgekit.errors import CATALOGUE, EdgekitError, Table, did_you_mean


def error(code="EK101", **fields):
    return EdgekitError(code, **{"what": "unknown model 'x'", "where": "model", "fix": "look", **fields})


def test_the_message_holds_code_what_where_and_fix():
    assert str(error()) == "EK101 unknown model 'x' [model] fix: look"


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [("EK101", 2), ("EK110", 2), ("EK203", 2), ("EK301", 2), ("EK401", 2), ("EK501", 1), ("EK502", 1), ("EK701", 3)],
)
def test_the_exit_code_follows_the_stage(code, exit_code):
    assert error(code).exit_code == exit_code


def test_every_code_has_an_exit_code_and_a_sentence():
    for code, text in CATALOGUE.items():
        assert error(code).exit_code in (1, 2, 3)
        assert text.endswith("."), code


def test_an_undocumented_code_cannot_be_raised():
    with pytest.raises(KeyError, match="EK999"):
        error("EK999")


@pytest.mark.parametrize("missing", ["what", "where", "fix"])
def test_nothing_can_be_forgotten(missing):
    fields = {"what": "a", "where": "b", "fix": "c"}
    del fields[missing]
    with pytest.raises(TypeError, match=missing):
        EdgekitError("EK101", **fields)


def test_details_are_rows_of_a_table():
    table = Table(("key", "problem"), (("a", "missing"),))
    assert error(table=table).table is table
    assert error().table is None


def test_an_error_crosses_process_borders():
    table = Table(("key",), (("a",),))
    copy = pickle.loads(pickle.dumps(error("EK103", table=table)))
    assert (copy.code, copy.what, copy.where, copy.fix, copy.table) == (
        "EK103",
        "unknown model 'x'",
        "model",
        "look",
        table,
    )
    assert str(copy) == str(error("EK103"))


def test_near_misses_are_suggested_and_never_chosen():
    known = ["mobilenet_v2", "mobilenet_v3_small", "resnet18"]
    assert did_you_mean("resnet-18", known, "list") == "did you mean resnet18?"
    assert did_you_mean("mobilenet_v3", known, "list") == "did you mean mobilenet_v3_small or mobilenet_v2?"
    assert did_you_mean("ResNet", known, "list") == "did you mean resnet18?"
    assert did_you_mean("vit", known, "list them") == "list them"
    assert did_you_mean("x", [], "list them") == "list them"
