"""Wrong inputs as a user types them: one line that says what, where and how to fix; nothing is written."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

from edgekit.cli import BROKEN_PIPE, main

RANDOM = ["--weights", "random", "--target", "tflite-int8"]


def picture() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def truncated_onnx(folder: Path) -> list[str]:
    graph_file(folder / "model.onnx", [1, 3, 8, 8])
    data = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(data[: len(data) // 2])
    return [str(folder / "model.onnx"), "--target", "tflite-fp32"]


def graph_file(path: Path, shape: list[int | str]) -> None:
    image, result = (helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("image", "result"))
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["result"])], "net", [image], [result])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def dynamic_onnx(folder: Path) -> list[str]:
    graph_file(folder / "model.onnx", [1, 3, "height", "width"])
    return [str(folder / "model.onnx"), "--target", "tflite-fp32"]


def checkpoint_of_another_model(folder: Path) -> list[str]:
    torch.save({"fc.weight": torch.zeros(10, 64)}, folder / "other.pth")
    return ["mobilenet_v2", "--weights", str(folder / "other.pth"), "--target", "tflite-int8"]


def corrupt_image(folder: Path) -> list[str]:
    (folder / "good.png").write_bytes(picture())
    (folder / "broken.png").write_bytes(picture()[:60])
    return ["mobilenet_v2", *RANDOM, "--calibration", str(folder)]


def no_image(folder: Path) -> list[str]:
    (folder / "notes.txt").write_text("no image")
    return ["mobilenet_v2", *RANDOM, "--calibration", str(folder)]


def one_size_only(folder: Path) -> list[str]:
    net = "nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))"
    (folder / "net.py").write_text(f"from torch import nn\n\n\ndef make():\n    return {net}\n")
    return [f"{folder / 'net.py'}:make", "--input-size", "9", "--target", "tflite-fp32"]


def data_dependent(folder: Path) -> list[str]:
    body = "if x.sum() > 0:\n            x = x * 2\n        return x.mean((2, 3))"
    net = f"class Net(nn.Module):\n    def forward(self, x):\n        {body}\n"
    (folder / "net.py").write_text(f"from torch import nn\n\n\n{net}\n\ndef make():\n    return Net()\n")
    return [f"{folder / 'net.py'}:make", "--input-size", "8", "--target", "tflite-fp32"]


def misspelt_attribute(folder: Path) -> list[str]:
    net = "class Net(nn.Module):\n    def forward(self, x):\n        return self.conf(x)\n"
    (folder / "net.py").write_text(f"from torch import nn\n\n\n{net}\n\ndef make():\n    return Net()\n")
    return [f"{folder / 'net.py'}:make", "--input-size", "8", "--target", "tflite-fp32"]


def unwritable(folder: Path) -> list[str]:
    (folder / "file").write_text("not a folder")
    return ["mobilenet_v2", *RANDOM, "--out", str(folder / "file" / "build")]


def without_files(*arguments: str) -> Callable[[Path], list[str]]:
    return lambda folder: list(arguments)


CASES = {
    "a missing ONNX file": (without_files("nowhere.onnx", "-t", "tflite-fp32"), "EK102", 2, "nowhere.onnx"),
    "a truncated ONNX file": (truncated_onnx, "EK202", 2, "model.onnx"),
    "a dynamic shape": (dynamic_onnx, "EK203", 2, "--input-size"),
    "a missing checkpoint": (
        without_files("mobilenet_v2", "--weights", "nowhere.pth", "-t", "tflite-int8"),
        "EK102",
        2,
        "nowhere.pth",
    ),
    "a checkpoint of another model": (checkpoint_of_another_model, "EK103", 2, "other.pth"),
    "an unknown model": (without_files("mobilnet_v2", *RANDOM), "EK101", 2, "did you mean mobilenet_v2"),
    "an unknown target": (
        without_files("mobilenet_v2", "--weights", "random", "-t", "tflite-in8"),
        "EK101",
        2,
        "did you mean tflite-int8",
    ),
    "no weights": (without_files("mobilenet_v2", "-t", "tflite-int8"), "EK104", 2, "choose --weights"),
    "a corrupt calibration image": (corrupt_image, "EK108", 2, "broken.png"),
    "a folder without images": (no_image, "EK108", 2, "image"),
    "a missing calibration folder": (
        without_files("mobilenet_v2", *RANDOM, "--calibration", "nowhere"),
        "EK102",
        2,
        "nowhere",
    ),
    "a size that the model cannot take": (one_size_only, "EK203", 2, "1x3x9x9"),
    "control flow that depends on the data": (data_dependent, "EK201", 2, "torch.where"),
    "a bug in the user's forward": (misspelt_attribute, "EK107", 2, "'Net' object has no attribute 'conf'"),
    "a seed that is too large": (
        without_files("mobilenet_v2", *RANDOM, "--seed", "100000000000000000000"),
        "EK106",
        2,
        "seed",
    ),
    "an unknown device": (without_files("mobilenet_v2", *RANDOM, "--device", "pi4"), "EK101", 2, "unknown device"),
    "a size that is none": (without_files("mobilenet_v2", *RANDOM, "--input-size", "7x"), "EK106", 2, "7x"),
    "io of a float file": (
        without_files("mobilenet_v2", "--weights", "random", "-t", "tflite-fp32", "--io", "int8"),
        "EK302",
        2,
        "--io",
    ),
    "a missing recipe": (
        without_files("mobilenet_v2", *RANDOM, "--recipe", "nowhere.toml"),
        "EK102",
        2,
        "nowhere.toml",
    ),
    "a method that there is not": (
        without_files("mobilenet_v2", *RANDOM, "--method", "adarond"),
        "EK106",
        2,
        "did you mean adaround",
    ),
    "a method of other activations": (
        without_files("mobilenet_v2", "--weights", "random", "-t", "tflite-int16x8", "--method", "min-max"),
        "EK302",
        2,
        "nearest, analytic",
    ),
    "a method of a float file": (
        without_files("mobilenet_v2", "--weights", "random", "-t", "tflite-fp32", "--method", "adaround"),
        "EK302",
        2,
        "--method",
    ),
    "a method and a quality": (
        without_files("mobilenet_v2", *RANDOM, "--method", "mse", "--quality", "best"),
        "EK106",
        2,
        "method, quality",
    ),
    "a module that there is not": (
        without_files("mobilenet_v2", *RANDOM, "--input-size", "32", "--keep-float", "classifer.*"),
        "EK106",
        2,
        "did you mean classifier",
    ),
    "a place that cannot be written": (unwritable, "EK702", 3, "--out"),
    "a model file of another kind": (without_files("weights.pth", "-t", "tflite-int8"), "EK106", 2, "name the model"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_one_line_and_writes_nothing(name, tmp_path, capsys, monkeypatch):
    make, code, exit_code, fragment = CASES[name]
    given, empty = tmp_path / "given", tmp_path / "empty"
    given.mkdir()
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert main(["export", *make(given), "--quiet"]) == exit_code
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert lines[0].startswith(f"{code} ")
    assert " fix: " in lines[0]
    assert fragment in lines[0]
    assert all(line.startswith("  ") for line in lines[1:])  # a table, if any
    assert "Traceback" not in captured.err
    assert list(empty.iterdir()) == []


def test_every_rejected_node_is_in_one_table(tmp_path, capsys):
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, [1, 3, 8, 8])
    nodes = [
        helper.make_node("Atan", ["image"], ["m"], name="second"),
        helper.make_node("Acos", ["m"], ["result"], name="third"),
    ]
    graph = helper.make_graph(nodes, "net", [image], [result])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "net.onnx"
    )
    code = main(["export", str(tmp_path / "net.onnx"), "-t", "tflite-fp32", "-q", "--out", str(tmp_path / "build")])
    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert lines[0].startswith("EK301 target 'tflite-fp32' cannot lower 2 of 2 nodes")
    assert [line.split()[0] for line in lines[2:]] == ["second", "third"]
    assert not (tmp_path / "build").exists()


def test_json_errors_are_one_document_on_stdout(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "mobilnet_v2", *RANDOM, "--json"]) == 2
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert (error["code"], error["exit_code"]) == ("EK101", 2)
    assert captured.err == ""


@pytest.mark.parametrize("arguments", [["exprot"], ["export", "mobilenet_v2", "--tarjet", "x"], ["verify"]])
def test_a_mistyped_command_is_a_usage_error(arguments, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("usage ")
    assert error.count("\n") == 1


def test_a_reader_that_goes_away_is_no_traceback_and_no_success():
    command = [sys.executable, "-m", "edgekit", "models", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == BROKEN_PIPE
