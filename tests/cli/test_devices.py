"""`edgekit devices setup`: what it says is there has run a model."""

import json
import subprocess
import sys

import pytest

import edgekit
from edgekit.cli import main


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """A function: lines of [devices.desk] -> this host under that name."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def write(*lines):
        (tmp_path / "devices.toml").write_text("\n".join(["[devices.desk]", 'uri = "local"', *lines]) + "\n")

    return write


def test_setup_says_what_ran_a_model_there(devices, capsys):
    devices()
    assert main(["devices", "setup", "desk"]) == 0
    assert "the python runner is there and ran a model with onnxruntime " in capsys.readouterr().out


def test_a_python_without_a_runtime_is_told_at_setup_with_what_to_install(devices, tmp_path, capsys):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    devices(f'python = "{bare}/bin/python"')
    assert main(["devices", "setup", "desk"]) == 3
    printed = capsys.readouterr()
    assert "is there" not in printed.out
    assert "EK606" in printed.err
    assert "install it there with pip" in printed.err


def test_a_program_that_cannot_run_there_is_told_at_setup(devices, capsys):
    devices('python = "/nowhere/python"')
    assert main(["devices", "setup", "desk", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "EK606"


def test_a_runtime_that_the_board_lacks_is_named_and_the_other_is_there(devices, tmp_path, capsys):
    hidden = tmp_path / "hidden" / "onnxruntime.py"
    hidden.parent.mkdir()
    hidden.write_text("raise ImportError('No module named onnxruntime')\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={hidden.parent} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    devices(f'python = "{python}"')
    assert main(["devices", "setup", "desk"]) == 0
    said = capsys.readouterr().out
    assert "ran a model with litert " in said
    assert "ONNX Runtime does not run there: " in said


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A small float bundle of random weights."""
    small = {"weights": "random", "input_size": 32, "num_classes": 4, "out": tmp_path_factory.mktemp("build")}
    return str(edgekit.export("mobilenet_v1", target="tflite-fp32", **small).bundles["tflite-fp32"])


def test_a_configuration_that_cannot_be_read_is_one_error_and_no_device(devices, capsys):
    devices("[devices.desk]")
    assert main(["devices", "local"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("EK106")


def test_a_damaged_runner_is_put_there_anew_by_what_the_message_says(bundle, devices, tmp_path, capsys):
    devices()
    assert main(["verify", bundle, "--device", "desk"]) == 0
    for runner in (tmp_path / "cache").rglob("runner.py"):
        runner.write_text("print('{')")
    capsys.readouterr()
    assert main(["verify", bundle, "--device", "desk"]) == 3
    told = capsys.readouterr().err
    assert "EK608" in told
    assert "edgekit devices setup desk" in told
    assert main(["devices", "setup", "desk"]) == 0
    assert main(["verify", bundle, "--device", "desk"]) == 0


def test_a_device_that_failed_is_not_announced_as_done(bundle, devices, tmp_path, capsys):
    devices()
    lines = ["[devices.broken]", 'uri = "local"', 'python = "/nowhere/python"']
    file = tmp_path / "devices.toml"
    file.write_text(file.read_text() + "\n".join(lines) + "\n")
    assert main(["verify", bundle, "--device", "broken", "--device", "desk"]) == 3
    said = capsys.readouterr().err
    assert "done tflite-fp32 on desk" in said
    assert "on broken" not in said


def test_a_name_that_means_no_device_is_told_before_any_device_runs(bundle, devices, capsys):
    devices()
    assert main(["verify", bundle, "--device", "desk", "--device", "nosuch"]) == 2
    said = capsys.readouterr().err
    assert "unknown device 'nosuch'" in said
    assert "done" not in said
