"""A runtime that edgekit does not know, brought by another package: all that a file goes through, without one edit.

The package lies in a temporary folder on the path, with an entry point in `edgekit.targets`, as pip would install it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

TARGET = "numpy-fp32"
DEVICES = """
[devices.board]
uri = "local"
runner = "c"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the package lies, the model and what comes of it."""
    made = tmp_path_factory.mktemp("third")
    shutil.copytree(Path(__file__).parent / "third_runtime", made, dirs_exist_ok=True)
    (made / "devices.toml").write_text(DEVICES)
    return made


@pytest.fixture(scope="module")
def run(folder) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run(command, *options)`: the command line in a process that finds the package."""
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "EDGEKIT_CACHE": str(folder / "cache")}

    def start(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edgekit", *words]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return start


@pytest.fixture(scope="module")
def document(run) -> Callable[..., dict]:
    """`document(command, *options)`: what --json says, of a command that ends well."""

    def read(*words: str) -> dict:
        done = run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return read


@pytest.fixture(scope="module")
def bundle(document) -> str:
    """The exported bundle."""
    options = ("--target", TARGET, "--input-size", "16", "--quiet")
    return str(document("export", "net.py:make", *options)["targets"][0]["bundle"])


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command ended with."""
    assert done.returncode in (2, 3), done.stderr
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("EK")]
    return line


def test_its_target_is_listed_and_its_package_is_looked_after(document):
    assert TARGET in {target["target"] for target in document("targets")["targets"]}
    packages = document("doctor")["packages"]
    assert packages["numpy-files"] == "1.0"
    assert "a-faster-numpy" not in packages


def test_a_file_is_written_with_its_own_suffix_and_every_output_is_proven(folder, document, bundle):
    manifest = json.loads((folder / bundle / "manifest.json").read_text())
    assert manifest["model_file"] == "model.npk"
    assert (folder / bundle / "model.npk").is_file()
    assert manifest["parity"]["passed"]
    assert {output["output"] for output in manifest["parity"]["hops"][-1]["outputs"]} == {"scores", "place"}


def test_the_file_is_verified_on_a_device_by_its_own_session(document, bundle):
    [row] = document("verify", bundle, "--device", "local", "--quiet")["devices"]
    assert (row["runner"], row["runtime"], row["runtime_version"]) == ("python", "onnx-reference", onnx.__version__)
    assert (row["delegate"], row["like_with_like"]) == ("numpy", True)
    assert {found["output"]: found["different"] for found in row["outputs"]} == {"scores": 0, "place": 0}


def test_the_file_is_measured_beside_its_own_control(document, bundle):
    few = ("--runs", "4", "--min-time", "0", "--rounds", "1", "--quiet")
    [found] = document("bench", bundle, "--device", "local", *few)["results"]
    assert found["ran_by"]["runtime"] == "onnx-reference"
    assert found["extra"]["control_ms"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("verify", "{}", "--device", "board"), "EK609 the C runner has no library of NumPy"),
        (("verify", "{}", "--device", "local", "--layerwise"), "EK302 files of numpy-fp32 cannot be cut"),
        (("bench", "{}", "--runner", "benchmark_model=x"), "EK106 benchmark_model runs .tflite files only"),
        (("android", "{}", "--out", "app"), "EK302 its manifest names no Android library"),
        (("export", "{}/model.npk", "--target", TARGET), "EK106"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_it_does_not_have_is_told_in_one_line(words, said, run, bundle):
    assert refused(run(*(word.format(bundle) for word in words))).startswith(said)
