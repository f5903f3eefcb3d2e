"""How results are told: table, JUnit, GitHub."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from documents import PI, counts, latency

from edgekit.bench.compare import Comparison, Verdict
from edgekit.report.bench import (
    COLUMNS,
    Outcome,
    annotations,
    cells,
    class_mix,
    job_summary,
    notes,
    write_junit,
)

SLOWER = Outcome(latency(), Comparison(Verdict.slower, "3.0% allowed, chance 0.4%", 1.052, 1.04, 1.064))
SAME = Outcome(latency(), Comparison(Verdict.same, "3.0% allowed", 1.001, 0.99, 1.01))
NOISY = Outcome(latency(spread=0.1), Comparison(Verdict.too_noisy, "known to ±9.0% only", 1.08, 0.98, 1.18))
NEW = Outcome(latency(), Comparison(Verdict.new, "no latency of net tflite-int8 in it"))
ALL = [SLOWER, SAME, NOISY, NEW]


def test_a_row_has_a_cell_per_column():
    assert all(len(cells(outcome)) == len(COLUMNS) for outcome in [*ALL, Outcome(counts()), Outcome(latency())])
    assert cells(SLOWER)[-2:] == ("+5.2% (+4.0% to +6.4%)", "slower")
    assert cells(Outcome(counts(12_345)))[3] == "12,345 instr."


def test_what_is_too_noisy_shows_no_number():
    row = cells(NOISY)
    assert row[3] == "8 to 12 ms"
    assert row[4:7] == ("", "", "")
    assert row[-1] == "too noisy"


def test_noise_is_told_also_without_a_baseline():
    assert Outcome(latency(spread=0.1)).verdict is Verdict.too_noisy
    assert Outcome(latency(spread=0.1), NEW.comparison).verdict is Verdict.too_noisy
    assert Outcome(latency()).verdict is None


def test_the_class_mix_adds_up():
    mix = {"instructions": 200, "classes": {"load_store": 50, "simd": 60, "dot_product": 40, "branch": 10, "other": 40}}
    assert class_mix(mix) == "SIMD 30 %, dot product 20 %, load/store 25 %, branch 5 %, other 20 %"


def test_mlperf_and_a_sustained_run_are_told_below():
    estimate = {"queries": 2048, "discarded": 172, "p90_ms": 10.5, "needed": 64}
    run = {"first_ms": 10.0, "last_ms": 19.0, "ratio": 1.9, "throttled_after_s": 120.0}
    said = notes(Outcome(latency(extra={"mlperf": estimate, "sustained": run})))
    assert said == [
        "MLPerf single stream: p90 at most 10.5 ms with 99 % confidence (2048 runs, 172 slowest discarded)",
        "sustained: first window 10 ms, last 19 ms (1.90x), throttled after 120 s of running",
    ]
    few = {"queries": 60, "discarded": 0, "p90_ms": None, "needed": 64}
    assert notes(Outcome(latency(extra={"mlperf": few}))) == ["MLPerf single stream: 60 runs, at least 64 are needed"]


def test_junit_has_a_case_per_file(tmp_path):
    path = tmp_path / "new" / "junit.xml"
    write_junit(path, ALL, "EK602 the connection was lost [pi4]")
    suite = ET.parse(path).getroot()
    assert {key: suite.get(key) for key in ("tests", "failures", "skipped", "errors")} == {
        "tests": "5",
        "failures": "1",
        "skipped": "2",
        "errors": "1",
    }
    cases = suite.findall("testcase")
    assert cases[0].get("classname") == "edgekit.bench.pi4"
    assert cases[0].find("failure").get("message").startswith("+5.2% (+4.0% to +6.4%); 3.0% allowed")
    assert cases[2].find("skipped").get("message").startswith("too noisy")
    assert {p.get("name") for p in cases[1].iter("property")} >= {"p50_ms", "low_ms", "high_ms", "sha256"}


def test_github_is_told_in_its_own_commands():
    named = Outcome({**latency(), "device": {"name": "lab:1,2", "emulated": False}}, SLOWER.comparison)
    (line,) = annotations([named, SAME])
    assert line.startswith("::error title=net tflite-int8 on lab%3A1%2C2::slower: +5.2%25 (+4.0%25 to +6.4%25)")
    assert [line.split(" ")[0] for line in annotations(ALL)] == ["::error", "::warning", "::notice"]


@pytest.mark.parametrize("name", ["a|b", "<b>"])
def test_a_job_summary_is_one_table_whatever_the_names(name):
    text = job_summary([Outcome(latency(device=replace(PI, name=name)), SAME.comparison)])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert {row.replace("\\|", "").count("|") for row in rows} == {len(COLUMNS) + 1}
    assert "<b>" not in text
