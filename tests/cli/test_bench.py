"""`edgekit bench`: options, exit codes, what is printed and what is kept. No time is asserted."""

import json
import xml.etree.ElementTree as ET

import pytest

import edgekit
from edgekit.cli import main

SHORT = ["--runs", "4", "--min-time", "0", "--rounds", "1", "--quiet"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A small float bundle of random weights."""
    out = tmp_path_factory.mktemp("build")
    run = edgekit.export(
        "mobilenet_v1", target="tflite-fp32", weights="random", input_size="32", num_classes=4, out=out
    )
    return str(run.bundles["tflite-fp32"])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test has a folder of its own, and no CI around it."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def bench_json(capsys, *arguments):
    code = main(["bench", *arguments, *SHORT, "--json"])
    return code, json.loads(capsys.readouterr().out)


def faster_baseline(path, factor):
    """The history with its times divided by `factor`, and quiet rounds."""
    document = json.loads(path.read_text().splitlines()[-1])
    summary = document["summary"]
    middle = summary["p50_ms"] / factor
    summary |= {"p50_ms": middle, "low_ms": middle, "high_ms": middle, "min_ms": middle, "noise": []}
    document["rounds"] = [{"p50_ms": middle}] * 5
    document["extra"] = {}
    baseline = path.with_name("baseline.jsonl")
    baseline.write_text(json.dumps(document) + "\n")
    return baseline


def test_a_result_is_printed_and_kept(bundle, capsys, tmp_path):
    code, document = bench_json(capsys, bundle, "--history", "results/history.jsonl")
    assert code == 0
    assert document["error"] is None
    (result,) = document["results"]
    (kept,) = (json.loads(line) for line in (tmp_path / "results" / "history.jsonl").read_text().splitlines())
    assert {**kept, "comparison": None, "verdict": result["verdict"]} == result
    assert result["model"] == "mobilenet_v1"
    assert result["protocol"]["runs"] == 4


def test_the_table_names_the_file_and_where_the_results_are(bundle, capsys, tmp_path):
    assert main(["bench", bundle, *SHORT]) == 0
    printed = capsys.readouterr().out
    assert "mobilenet_v1  tflite-fp32  local" in printed
    assert printed.endswith("results appended to build/bench.jsonl\n")
    assert (tmp_path / "build" / "bench.jsonl").is_file()


def test_a_file_that_became_much_slower_fails_the_build(bundle, capsys, tmp_path, monkeypatch):
    assert main(["bench", bundle, *SHORT]) == 0
    baseline = faster_baseline(tmp_path / "build" / "bench.jsonl", factor=1000)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    capsys.readouterr()
    assert main(["bench", bundle, *SHORT, "--baseline", str(baseline), "--junit", "junit.xml"]) == 1
    printed = capsys.readouterr()
    assert "EK504 1 of 1 files became slower" in printed.err
    assert "::error title=mobilenet_v1 tflite-fp32 on local::slower" in printed.err
    assert "slower" in (tmp_path / "summary.md").read_text()
    assert ET.parse(tmp_path / "junit.xml").getroot().get("failures") == "1"
    assert len((tmp_path / "build" / "bench.jsonl").read_text().splitlines()) == 2  # kept all the same


def test_a_file_that_became_much_faster_passes(bundle, capsys, tmp_path):
    """On a busy host it is too noisy to be called that."""
    assert main(["bench", bundle, *SHORT]) == 0
    baseline = faster_baseline(tmp_path / "build" / "bench.jsonl", factor=0.001)
    capsys.readouterr()
    code, document = bench_json(capsys, bundle, "--baseline", str(baseline))
    noisy = bool(document["results"][0]["summary"]["noise"])
    assert (code, document["results"][0]["verdict"]) == (0, "too noisy" if noisy else "faster")


def test_no_baseline_passes_and_is_an_error_where_an_answer_is_asked_for(bundle, capsys, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    code, document = bench_json(capsys, bundle, "--baseline", "empty.jsonl")
    assert code == 0
    assert document["results"][0]["comparison"]["verdict"] == "no baseline"
    code, document = bench_json(capsys, bundle, "--baseline", "empty.jsonl", "--strict")
    assert (code, document["error"]["code"]) == (3, "EK612")


def test_mlperf_and_a_sustained_run_add_their_figures(bundle, capsys):
    _, document = bench_json(capsys, bundle, "--mlperf", "--cooldown", "0")
    assert document["results"][0]["extra"]["mlperf"]["needed"] == 64
    assert document["results"][0]["protocol"]["min_time_s"] == 0.0


@pytest.mark.parametrize(
    ("options", "code", "exit_code"),
    [
        (["--max-regression", "fast"], "EK106", 2),
        (["--max-regression", "-1%"], "EK106", 2),
        (["--cpu-mask", "xyz"], "EK106", 2),
        (["--cpu-mask", "0"], "EK106", 2),
        (["--runner", "perf=/bin/true"], "EK106", 2),
        (["--runner", "benchmark_model=nowhere"], "EK102", 2),
        (["--mlperf", "--sustained", "1"], "EK106", 2),
        (["--metric", "instructions"], "EK106", 2),
        (["--device", "no-such-device"], "EK101", 2),
        (["--baseline", "nowhere.jsonl"], "EK102", 2),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_written(bundle, capsys, tmp_path, options, code, exit_code):
    found, document = bench_json(capsys, bundle, *options)
    assert (found, document["error"]["code"]) == (exit_code, code)
    assert document.get("results", []) == []
    assert not (tmp_path / "build").exists()


def test_a_folder_that_is_no_bundle_is_named(capsys):
    code, document = bench_json(capsys, "nowhere")
    assert (code, document["error"]["code"], document["error"]["where"]) == (2, "EK102", "nowhere")


def test_a_layerwise_search_needs_a_device(bundle, capsys):
    assert main(["verify", bundle, "--layerwise", "--quiet"]) == 2
    assert "EK106 --layerwise needs a device" in capsys.readouterr().err


def test_on_this_host_no_operator_differs_from_this_host(bundle, capsys):
    assert main(["verify", bundle, "--device", "local", "--layerwise", "--quiet"]) == 0
    assert "local: no operator differs" in capsys.readouterr().out
    assert main(["verify", bundle, "--device", "local", "--layerwise", "--quiet", "--json"]) == 0
    (search,) = json.loads(capsys.readouterr().out)["layerwise"]
    assert (search["device"], search["first"], len(search["tried"])) == ("local", None, 1)
