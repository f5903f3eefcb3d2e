"""TFLite's own benchmark_model: its recorded outputs are read, and a program in its place is pushed and run.

recorded/ holds what the tool printed in public: version 2.17 on an i.MX board (Siemens' documentation), 2.4 on a phone
(tensorflow/tensorflow#42507), with file names shortened.
"""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.bench.benchmark_model import arguments, parse_output, run_tool, summarize_rounds
from edgekit.bench.measure import Bench
from edgekit.bench.protocol import Protocol
from edgekit.devices.local import LocalDevice
from edgekit.devices.run_model import open_device
from edgekit.devices.settings import find
from edgekit.errors import EdgekitError
from edgekit.target import targets

RECORDED = Path(__file__).parent / "recorded"
NEW, OLD = ((RECORDED / f"benchmark_model_{version}.txt").read_text() for version in ("2_17", "2_4"))


def test_a_new_version_prints_a_median():
    result = parse_output(NEW, "board")
    assert (result.runs, result.load_ms, result.first_ms) == (50, 5.579, 1357.602)
    assert (result.p50_ms, result.p95_ms, result.mean_ms) == (1239.807, 1247.415, 1240.27)
    assert (result.min_ms, result.max_ms, result.std_ms) == (1238.588, 1252.566, 2.565)
    assert result.memory_mb == 109.832
    assert result.typical_ms == 1239.807


def test_an_old_version_prints_the_average_only():
    result = parse_output(OLD, "phone")
    assert (result.runs, result.p50_ms, result.p95_ms) == (50, None, None)
    assert result.typical_ms == result.mean_ms == 33.2094
    assert summarize_rounds([result])["is_average"]


def test_the_delegate_is_read_where_the_tool_tells_it():
    line = "INFO: Replacing 64 out of 66 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 2 partitions."
    result = parse_output(f"{line}\n{NEW}", "board")
    assert (result.delegate, result.partitions) == ("TfLiteXNNPackDelegate", 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "bash: ./benchmark_model: not found",
        "count=3 avg=1",
        NEW.replace("Inference timings", "x"),
        "count=x",
    ],
)
def test_what_is_no_result_is_an_error_with_the_last_line(text):
    with pytest.raises(EdgekitError, match="EK608 benchmark_model printed no result"):
        parse_output(text, "board")


def test_the_command_line_is_the_protocol():
    protocol = Protocol(runs=50, min_time_s=1.0, rounds=5, threads=4, cpu_mask=0xF0)
    assert arguments("work-1", protocol) == [
        "taskset",
        "f0",
        "./work-1/benchmark_model",
        "--graph=work-1/model",
        "--num_threads=4",
        "--num_runs=10",
        "--min_secs=0.2",
        "--warmup_runs=5",
    ]
    assert arguments("work-1", Protocol())[0] == "./work-1/benchmark_model"


@pytest.fixture
def tool(tmp_path):
    """A program that checks what it is given and prints what the real one printed."""
    path = tmp_path / "any name"
    path.write_text(
        f"""#!{sys.executable}
import os, sys
options = dict(word.lstrip("-").split("=") for word in sys.argv[1:])
assert os.path.getsize(options["graph"]) > 1000
sys.stderr.write({NEW!r})
"""
    )
    return path


def test_the_tool_is_pushed_run_and_taken_away_again(tool, subject, tmp_path):
    folder = tmp_path / "device"
    with LocalDevice(replace(find("local"), folder=str(folder))) as device:
        (record,) = Bench(device, Protocol(rounds=3), tool=tool).run([subject], "latency")
    document = record.document()
    assert list(folder.iterdir()) == []
    assert document["ran_by"]["runner"] == "benchmark_model"
    assert len(document["ran_by"]["runtime_version"]) == 12
    assert (document["summary"]["p50_ms"], document["summary"]["runs"]) == (1239.807, 150)
    assert [part["p50_ms"] for part in document["rounds"]] == [1239.807] * 3


def test_a_tool_that_fails_says_why(tmp_path, subject):
    path = tmp_path / "benchmark_model"
    path.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('cannot open the model')\n")
    with open_device("local") as device, pytest.raises(EdgekitError, match=r"EK610 .*cannot open the model"):
        run_tool(device, subject, Protocol(), path, timeout_s=20)


def test_what_it_cannot_run_is_refused(tmp_path, subject):
    other = replace(subject, runtime=targets.get("ort-fp32").runtime)
    with open_device("local") as device:
        with pytest.raises(EdgekitError, match="EK102"):
            run_tool(device, subject, Protocol(), tmp_path / "none", timeout_s=20)
        with pytest.raises(EdgekitError, match=r"EK106 benchmark_model runs \.tflite files only"):
            run_tool(device, other, Protocol(), tmp_path / "none", timeout_s=20)
