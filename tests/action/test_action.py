"""The GitHub action: its script as the runner starts it, its inputs, and the example workflow."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.cli import main

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: pip install -e '.[dev]'")


LINTER = "zizmor==1.32.0"


@pytest.fixture
def action(repository: Path) -> Path:
    return repository / ".github" / "actions" / "edgekit"


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of its own: somebody may be measuring on this host, who holds the lock of the usual one."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run(action, cache, tmp_path):
    """A function: inputs -> (exit code, output, job summary)."""

    def start(**inputs: str):
        defaults = {key: value.get("default", "") for key, value in load(action / "action.yml")["inputs"].items()}
        given = {key.replace("-", "_").upper(): value for key, value in {**defaults, **inputs}.items()}
        summary = tmp_path / "summary.md"
        summary.touch()
        environment = {
            **os.environ,
            **given,
            "OUT": str(tmp_path / "build"),
            "HERE": str(action),
            "EDGEKIT_CACHE": str(cache),
            "GITHUB_ACTIONS": "true",
            "GITHUB_STEP_SUMMARY": str(summary),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        command = ["bash", str(action / "run.sh")]
        merged = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        done = subprocess.run(command, env=environment, cwd=tmp_path, timeout=600, **merged)
        return done.returncode, done.stdout, summary.read_text()

    return start


SHORT = {"options": "--input-size 32", "bench-options": "--runs 5 --min-time 0 --rounds 2"}


def test_a_good_model_is_exported_verified_and_measured(run, tmp_path):
    code, said, summary = run(model="mobilenet_v3_small", targets="tflite-fp32 ort-fp32", **SHORT)
    assert code == 0, said
    assert said.count("bit-exact") == 2
    assert "| tflite-fp32 |" in summary
    assert "| ort-fp32 |" in summary
    assert summary.count("pass |") == 2
    assert len((tmp_path / "build" / "bench.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "build" / "bench.xml").is_file()


def test_a_failed_gate_is_an_annotation_and_the_exit_code(run):
    code, said, summary = run(model="mobilenet_v3_small", options="--weights random --input-size 64")
    assert code == 1
    assert re.search(r"^::error title=edgekit export EK501::the hop .* fix: .* see ", said, re.MULTILINE)
    assert "**failed**" in summary
    assert "EK501" in summary


def test_a_mistyped_model_is_an_annotation_too(run):
    code, said, _ = run(model="mobilenet_v9")
    assert code == 2
    assert "::error title=edgekit export EK101::unknown model 'mobilenet_v9'" in said


@pytest.mark.slow
def test_a_slower_file_fails_against_the_baseline(run, tmp_path):
    code, said, _ = run(model="mobilenet_v3_small", **SHORT)
    assert code == 0, said
    history = tmp_path / "build" / "bench.jsonl"
    document = json.loads(history.read_text().splitlines()[-1])
    rounds = json.loads(re.sub(r'("\w*_ms": )([0-9.e-]+)', lambda m: f"{m[1]}{float(m[2]) / 50}", json.dumps(document)))
    for one in rounds["rounds"]:
        for key, value in one.items():
            if isinstance(value, list) and all(isinstance(v, float) for v in value):
                one[key] = [v / 50 for v in value]
    (tmp_path / "baseline.jsonl").write_text(json.dumps(rounds) + "\n")
    code, said, summary = run(model="mobilenet_v3_small", baseline=str(tmp_path / "baseline.jsonl"), **SHORT)
    assert code == 1, said
    assert "::error" in said
    assert "slower" in summary


def test_a_file_name_with_spaces_and_shell_signs_is_no_command(run, tmp_path):
    code, said, _ = run(model="$(touch owned); `touch owned`.onnx")
    assert code == 2
    assert not (tmp_path / "owned").exists()
    assert "::error" in said


def test_inputs_reach_the_script_as_environment_never_as_text(action):
    """An expression inside `run` would be pasted into the shell."""
    document = load(action / "action.yml")
    steps = document["runs"]["steps"]
    assert not [step["run"] for step in steps if "${{" in step["run"]]
    given = {
        name for step in steps for value in step["env"].values() for name in re.findall(r"inputs\.([\w-]+)", value)
    }
    assert given == set(document["inputs"])
    assert all(value.get("description") for value in document["inputs"].values())


@pytest.fixture(scope="module")
def zizmor(tmp_path_factory):
    """A linter of workflows and actions, from its wheel."""
    folder = tmp_path_factory.mktemp("zizmor")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), LINTER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"pip cannot install {LINTER}: {done.stderr.strip().splitlines()[-1:]}")
    return folder / "bin" / "zizmor"


def test_the_linter_of_workflows_finds_nothing(zizmor, action, repository, tmp_path):
    """But that the example names versions instead of hashes, which an example may."""
    (tmp_path / "zizmor.yml").write_text("rules:\n  unpinned-uses:\n    disable: true\n")
    files = (action / "action.yml", repository / "docs" / "examples" / "on-device.yml")
    command = [zizmor, "--offline", "--no-progress", "--config", tmp_path / "zizmor.yml", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_of_the_script_is_given(action):
    (step,) = [step for step in load(action / "action.yml")["runs"]["steps"] if "run.sh" in step["run"]]
    used = set(re.findall(r"\$\{?([A-Z_]+)", (action / "run.sh").read_text()))
    assert used - {"GITHUB_STEP_SUMMARY"} <= set(step["env"])


def test_the_example_workflow_uses_inputs_and_outputs_that_exist(action, repository):
    document = load(action / "action.yml")
    text = (repository / "docs" / "examples" / "on-device.yml").read_text()
    (step,) = [s for s in yaml.safe_load(text)["jobs"]["model"]["steps"] if s.get("id") == "edgekit"]
    assert set(step["with"]) <= set(document["inputs"])
    assert set(re.findall(r"steps\.edgekit\.outputs\.([\w-]+)", text)) <= set(document["outputs"])


def test_the_options_that_the_script_passes_exist(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for command, options in {
        "export": ("--target", "--out", "--quiet", "--json"),
        "verify": ("--device", "--quiet"),
        "bench": ("--device", "--baseline", "--max-regression", "--history", "--junit", "--quiet"),
    }.items():
        assert main([command, "--help"]) == 0
        text = capsys.readouterr().out
        assert all(option in text for option in options), command
