"""Which outputs are compared with which, under what gate."""

import numpy as np
import pytest

from edgekit.artifact import ParityReport
from edgekit.target import Tolerance
from edgekit.verify.hops import GRAPH_TOLERANCE, Checked, end_to_end, measure_hops

BASE = np.random.default_rng(0).normal(0, 5, (8, 10)).astype(np.float32)
GATE = Tolerance(min_sqnr_db=10.0, min_agreement=0.85)


def moved(by, seed=1):
    return BASE + np.random.default_rng(seed).normal(0, by, BASE.shape).astype(np.float32)


def report(exact=3, gate=GATE, **stages):
    """The hops of stages; the first `exact` of them may differ by float rounding only."""
    checked = [
        Checked(name, {"scores": values}, GRAPH_TOLERANCE if place < exact else gate)
        for place, (name, values) in enumerate(stages.items())
    ]
    return ParityReport((*measure_hops(checked, "scores"), *end_to_end(checked, "scores")), 8, "noise")


def test_each_stage_is_compared_with_the_one_before_and_the_last_with_the_first():
    hops = report(torch=BASE, onnx=BASE, simplified=BASE, quantized=moved(0.1), file=moved(0.1, 2)).hops
    assert [(hop.reference, hop.name) for hop in hops] == [
        ("torch", "onnx"),
        ("onnx", "simplified"),
        ("simplified", "quantized"),
        ("quantized", "file"),
        ("torch", "end to end"),
    ]


def test_two_stages_are_their_own_end_to_end():
    hops = report(onnx=BASE, file=moved(0.1), exact=1).hops
    assert [(hop.reference, hop.name) for hop in hops] == [("onnx", "file")]


@pytest.mark.parametrize("stage", ["onnx", "simplified"])
def test_tracing_and_simplifying_may_change_no_more_than_float_rounding(stage):
    stages = {"torch": BASE, "onnx": BASE, "simplified": BASE, "quantized": BASE, "file": BASE}
    slightly = BASE + np.float32(1e-3 * np.ptp(BASE))
    assert report(**{**stages, stage: slightly}).first_failure.name == stage
    rounding = BASE + np.float32(1e-5 * np.ptp(BASE))
    assert report(**{**stages, stage: rounding}).first_failure is None


def test_quantization_and_the_file_answer_to_the_targets_gate():
    found = report(torch=BASE, onnx=BASE, simplified=BASE, quantized=moved(0.5), file=moved(0.5, 2))
    assert found.first_failure is None
    assert not any("of range" in hop.gate for hop in found.hops[2:])
    strict = report(gate=Tolerance(min_sqnr_db=60.0), torch=BASE, onnx=BASE, simplified=BASE, quantized=moved(0.5))
    assert strict.first_failure.name == "quantized"


def test_small_losses_that_add_up_fail_end_to_end():
    steps = [BASE * np.float32(1 + 0.12 * i) for i in range(5)]
    gate = Tolerance(min_sqnr_db=15.0)
    found = report(exact=1, gate=gate, torch=steps[0], a=steps[1], b=steps[2], c=steps[3], file=steps[4])
    assert [hop.passed for hop in found.hops] == [True, True, True, True, False]
    assert found.first_failure.name == "end to end"


def test_the_first_failure_is_the_first_in_pipeline_order():
    found = report(torch=BASE, onnx=-BASE, simplified=BASE, file=-BASE)
    assert [hop.passed for hop in found.hops] == [False, False, False, False]
    assert found.first_failure.name == "onnx"


def test_how_many_stages_must_be_exact_is_the_callers_to_say():
    slightly = BASE + np.float32(1e-3 * np.ptp(BASE))
    assert report(exact=1, onnx=BASE, file=slightly).first_failure is None
    assert report(exact=2, onnx=BASE, file=slightly).first_failure.name == "file"
    assert GRAPH_TOLERANCE.max_abs == 1e-4


def test_a_file_of_another_shape_fails_at_its_own_hop():
    found = report(torch=BASE, onnx=BASE, simplified=BASE, file=BASE[:, :5])
    assert found.first_failure.name == "file"
    assert "shape" in found.first_failure.gate


def test_every_output_is_compared_under_the_gate_of_its_step():
    before = {"scores": BASE, "boxes": BASE * 40}
    stages = [Checked("torch", before), Checked("file", {**before, "boxes": -before["boxes"]}, GATE)]
    (hop,) = measure_hops(stages, "scores")
    assert [(output.output, output.passed, output.agreement) for output in hop.outputs] == [
        ("scores", True, 1.0),
        ("boxes", False, None),
    ]
    assert (hop.passed, hop.worst.output, hop.agreement) == (False, "boxes", 1.0)
    assert hop.gate.startswith("boxes: SQNR")


def test_the_end_is_gated_as_loosely_as_a_step_that_was_meant_to_cost_something():
    lossy = Tolerance(min_sqnr_db=20.0)
    stages = [
        Checked("original", {"scores": BASE}),
        Checked("prepared", {"scores": moved(0.1)}, lossy),
        Checked("file", {"scores": moved(0.1)}, Tolerance(max_abs=1e-4)),
    ]
    (whole,) = end_to_end(stages, "scores")
    assert (whole.passed, whole.gate.split()[0]) == (True, "SQNR")
