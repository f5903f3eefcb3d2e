"""Which results are compared with which."""

import json
from dataclasses import asdict, replace

import pytest
from documents import CORE, PI, counts, latency

from edgekit.bench.compare import Verdict
from edgekit.bench.protocol import Protocol
from edgekit.bench.record import RanBy, compare_with, find_baseline


def test_a_document_is_json():
    assert json.loads(json.dumps(latency()))["ran_by"]["runtime"] == "litert"


def test_the_same_file_is_preferred_to_the_newest():
    history = [latency(10, time="1"), latency(11, sha256="b" * 64, time="2")]
    found, _ = find_baseline(history, latency())
    assert found is history[0]


def test_a_new_file_is_compared_with_the_newest_of_its_model_and_target():
    history = [latency(10, sha256="b" * 64), latency(11, sha256="c" * 64), latency(12, model="other")]
    found, _ = find_baseline(history, latency())
    assert found is history[1]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"device": replace(PI, cpu="Cortex-A76")}, "cpu was Cortex-A72, is Cortex-A76"),
        ({"ran_by": RanBy("c", "litert", "2.4.0", None, None)}, "runtime_version was 2.3.0, is 2.4.0"),
        ({"ran_by": RanBy("python", "litert", "2.3.0", None, None)}, "runner was c, is python"),
        ({"protocol": asdict(Protocol(threads=4))}, "threads was 1, is 4"),
    ],
)
def test_what_cannot_be_compared_is_said(changed, why):
    found = compare_with([latency()], latency(**changed), 0.03)
    assert found.verdict is Verdict.new
    assert found.reason == why


def test_a_renamed_device_with_the_same_cpu_is_the_same():
    found = compare_with([latency()], latency(device=replace(PI, name="ci-board", uri="ssh://ci@10.0.0.7")), 0.03)
    assert found.verdict is Verdict.same


def test_an_interrupted_bench_is_no_baseline():
    history = [latency(10), latency(5, extra={"interrupted": "EK602 the connection was lost"})]
    assert compare_with(history, latency(10), 0.03).verdict is Verdict.same


def test_a_quiet_baseline_is_preferred_to_a_newer_noisy_one():
    history = [latency(10), latency(12, spread=0.2)]
    assert find_baseline(history, latency())[0] is history[0]
    assert find_baseline(history[1:], latency())[0] is history[1]
    assert compare_with(history[1:], latency(10), 0.03).verdict is Verdict.too_noisy


@pytest.mark.parametrize("broken", [{"summary": {}}, {"rounds": [{}]}, {"summary": {"p50_ms": "fast"}}])
def test_a_baseline_that_was_edited_by_hand_is_none(broken):
    found = compare_with([{**latency(), **broken}], latency(), 0.03)
    assert found.verdict is Verdict.new
    assert "cannot be used" in found.reason


def test_instructions_are_keyed_by_core_runner_and_runtime_and_not_by_threads():
    assert compare_with([counts(1000)], counts(1010), 0.002).verdict is Verdict.slower
    assert compare_with([counts(1000)], counts(1001), 0.002).verdict is Verdict.same
    other = counts(1010, ran_by=RanBy("c", "litert", "2.4.0", None, None))
    assert compare_with([counts(1000)], other, 0.002).verdict is Verdict.new


def test_a_latency_is_no_baseline_of_a_count():
    assert compare_with([latency(device=CORE)], counts(), 0.002).verdict is Verdict.new
