"""`edgekit profile` and `bench --metric cycles` as they are typed."""

import csv
import json
import shutil

import pytest

import edgekit
from edgekit.bench.prices import find_llvm
from edgekit.cli import main
from edgekit.devices.emulated import QEMU
from edgekit.devices.toolchain import COMPILER
from edgekit.errors import EdgekitError


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    out = tmp_path_factory.mktemp("build")
    run = edgekit.export(
        "mobilenet_v1", target="tflite-fp32", weights="random", input_size="32", num_classes=4, out=out
    )
    return run.bundles["tflite-fp32"]


@pytest.fixture
def emulated():
    for tool in (QEMU, COMPILER, "cc"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    try:
        find_llvm()
    except EdgekitError as error:
        pytest.skip(str(error))


def test_a_profile_is_printed_kept_and_shown_in_the_report(bundle, emulated, tmp_path, capsys):
    table = tmp_path / "operators.csv"
    assert main(["profile", str(bundle), "--device", "emulated:pi3", "--csv", str(table), "--json", "-q"]) == 0
    document = json.loads(capsys.readouterr().out)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["module"] for row in rows] == [operator["module"] for operator in document["operators"]]
    assert sum(int(row["cycles"]) for row in rows) == pytest.approx(document["whole"]["cycles"], rel=0.03)
    assert sum(float(row["share"]) for row in rows) == pytest.approx(document["covered"])
    assert {"CONV_2D", "DEPTHWISE_CONV_2D"} < {row["operator"] for row in rows}
    assert "estimated_ms" not in document
    kept = json.loads((bundle / "profile.json").read_text())["emulated:pi3"]
    assert kept.items() <= document.items()
    page = (bundle / "report.html").read_text()
    assert "Cycles by operator on emulated:pi3, estimated" in page
    edgekit.read_bundle(bundle)  # what was added is no change of the bundle


def test_milliseconds_need_a_clock_and_are_called_estimated(bundle, emulated, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = bundle / "model.tflite"
    words = ["bench", str(file), "--device", "emulated:pi5", "--metric", "cycles", "-q"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "estimated" in printed
    assert " ms" not in printed
    assert main([*words, "--clock", "2.4GHz"]) == 0
    assert " ms at 2.4 GHz" in capsys.readouterr().out
    assert main([*words, "--clock", "2.4GHz", "--baseline", "build/bench.jsonl", "--json"]) == 0
    [result] = json.loads(capsys.readouterr().out)["results"]
    assert result["verdict"] == "unchanged"
    assert result["extra"]["estimated_ms"] == pytest.approx(result["summary"]["cycles"] / 2.4e6, rel=1e-3)


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (["bench", "--metric", "cycles"], "EK106", 2),  # on this host
        (["bench", "--metric", "instructions", "--device", "emulated:pi4", "--clock", "1GHz"], "EK106", 2),
        (["bench", "--device", "emulated:pi4", "--clock", "fast"], "EK106", 2),
        (["profile", "--device", "local"], "EK106", 2),
        (["profile", "--device", "emulated:cortex-a7"], "EK101", 2),
        (["profile", "--clock", "0GHz"], "EK106", 2),
    ],
)
def test_what_cannot_be_done_is_told(bundle, emulated, tmp_path, monkeypatch, capsys, words, code, exit_code):
    monkeypatch.chdir(tmp_path)
    assert main([words[0], str(bundle), *words[1:], "--json", "-q"]) == exit_code
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


def test_without_the_emulator_the_message_says_what_to_install(bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["profile", str(bundle), "-q"]) == 3
    assert "apt-get install qemu-user" in capsys.readouterr().err
