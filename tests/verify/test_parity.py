"""Figures and gates of a hop."""

import numpy as np
import pytest

from edgekit.target import Tolerance
from edgekit.verify.parity import compare

LOGITS = np.array([[1.0, 2.0, 4.0], [3.0, -1.0, 0.0]], np.float32)


def hop(reference, actual, **gates):
    """One output, the scores of classes where it can be."""
    named = {"scores": reference}, {"scores": actual}
    scores = "scores" if reference.ndim == 2 and reference.shape[1] > 1 else None
    found = compare(*named, name="after", reference_name="before", tolerance=Tolerance(**gates), scores=scores)
    return found.worst


def test_equal_outputs_have_no_error_and_infinite_sqnr():
    result = hop(LOGITS, LOGITS.copy(), max_abs=1e-4)
    assert (result.max_abs, result.range, result.agreement) == (0.0, 5.0, 1.0)
    assert result.sqnr_db == np.inf
    assert result.cosine == pytest.approx(1.0)
    assert result.passed


def test_sqnr_is_signal_over_error_in_decibel():
    assert hop(np.full((1, 4), 10.0, np.float32), np.full((1, 4), 9.0, np.float32)).sqnr_db == pytest.approx(20.0)


def test_max_abs_is_gated_as_a_fraction_of_the_range_and_says_so():
    moved = LOGITS + np.float32(0.25)
    assert hop(LOGITS, moved, max_abs=0.1).gate == "max abs 5.0e-02 <= 1e-01 of range"
    failed = hop(LOGITS, moved, max_abs=0.01)
    assert not failed.passed
    assert failed.gate == "max abs 5.0e-02 > 1e-02 of range"


def test_integer_gates_ask_for_sqnr_and_agreement():
    swapped = LOGITS[:, ::-1].copy()
    result = hop(LOGITS, swapped, min_sqnr_db=10.0, min_agreement=0.85)
    assert not result.passed
    assert result.gate.startswith("SQNR ")
    assert "agreement 0.0% < 85.0%" in result.gate


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_nan_or_infinity_fails_even_without_a_gate(bad):
    broken = LOGITS.copy()
    broken[0, 0] = bad
    for pair in ((LOGITS, broken), (broken, LOGITS)):
        result = hop(*pair)
        assert not result.passed
        assert result.gate == "NaN or infinite outputs 1 = 0"


def test_outputs_of_different_shapes_fail_and_are_named():
    result = hop(LOGITS, LOGITS[:, :2])
    assert not result.passed
    assert result.gate == "shape (2, 2) = (2, 3)"


@pytest.mark.parametrize("shape", [(2, 1), (2, 3, 4, 4), (2,)])
def test_agreement_counts_classes_only(shape):
    reference = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    result = hop(reference, -reference, min_agreement=0.99, max_lost=None)
    assert result.agreement is None
    assert result.passed
    assert result.cosine == pytest.approx(-1.0)


def test_agreement_does_not_count_rows_that_are_no_scores():
    boxes = np.array([[1.0, 1.01, 0.0]], np.float32)
    moved = boxes[:, [1, 0, 2]]
    options = {"name": "after", "reference_name": "before", "tolerance": Tolerance(min_agreement=0.99)}
    assert not compare({"boxes": boxes}, {"boxes": moved}, scores="boxes", **options).passed
    detector = compare({"boxes": boxes}, {"boxes": moved}, scores=None, **options)
    assert (detector.passed, detector.agreement, detector.gate) == (True, None, "")


def test_an_output_that_only_one_stage_has_fails_by_its_name():
    options = {"name": "after", "reference_name": "before"}
    for pair in (({"a": LOGITS, "b": LOGITS}, {"a": LOGITS}), ({"a": LOGITS}, {"a": LOGITS, "b": LOGITS})):
        found = compare(*pair, **options)
        assert (found.passed, found.worst.output) == (False, "b")
        assert found.gate == "b: only one of both has this output"


def test_constant_outputs_are_gated_by_absolute_error():
    zeros = np.zeros((2, 3), np.float32)
    assert hop(zeros, zeros, max_abs=1e-4).passed
    result = hop(zeros, zeros + 1, max_abs=1e-4, min_sqnr_db=10.0)
    assert not result.passed
    assert result.gate == "max abs 1.0e+00 > 1e-04 absolute, SQNR -inf dB < 10.0 dB"


def test_error_is_exact_where_float32_would_round_it_away():
    reference = np.array([[1e8, 0.0]], np.float32)
    assert hop(reference, np.array([[1e8, 1e-3]], np.float32)).max_abs == pytest.approx(1e-3, rel=1e-6)


def test_variation_that_is_rounding_is_no_range_to_take_a_fraction_of():
    constant = np.full((8, 1, 1), 0.1, np.float32)
    rounded = constant.copy()
    rounded[3] = np.nextafter(np.float32(0.1), np.float32(1))
    result = hop(rounded, constant, max_abs=1e-4, min_sqnr_db=60.0)
    assert result.range == 0.0
    assert result.passed, result.gate
    assert not hop(rounded, constant + np.float32(0.01), max_abs=1e-4).passed


def indices(actual, **gate):
    reference = np.arange(1000).reshape(10, 100) % 7
    named = {"y": reference}, {"y": actual(reference).astype(np.float32)}
    return compare(*named, name="file", reference_name="float", tolerance=Tolerance(**gate)).worst


def test_indices_of_classes_are_compared_as_classes_and_not_by_distance():
    by_one = indices(lambda reference: np.where(np.arange(1000).reshape(10, 100) < 100, reference + 1, reference))
    far = indices(lambda reference: np.where(np.arange(1000).reshape(10, 100) < 100, reference + 90, reference))
    assert (by_one.agreement, by_one.sqnr_db) == (far.agreement, far.sqnr_db)
    assert by_one.agreement == 0.9
    assert by_one.sqnr_db == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("gate", "passed"),
    [({"min_agreement": 0.85, "min_sqnr_db": 30.0}, True), ({"max_abs": 1e-4}, False), ({"min_sqnr_db": 30.0}, False)],
)
def test_indices_have_the_gate_of_classes_where_there_is_one(gate, passed):
    assert indices(lambda reference: np.where(reference == 6, 5, reference), **gate).agreement == pytest.approx(0.858)
    assert indices(lambda reference: np.where(reference == 6, 5, reference), **gate).passed is passed
    assert indices(lambda reference: reference, **gate).passed
