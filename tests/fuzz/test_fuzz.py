"""Inputs that nobody meant: each command answers with one message, a code, and nothing left behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import seeds
from families import FAMILIES, Seeds, bundle_folders, make_seeds
from judge import Worker

INPUTS = {"onnx_files": 80, "external_data": 20, "checkpoint_files": 45, "programs": 15, "images": 50, "bundles": 60}
INPUTS["texts"] = 30
SLOW_ROUNDS = 34
"""Rounds of as many inputs, with other seeds: 10,200."""
SAVED = Path(os.environ.get("EDGEKIT_FUZZ_SAVED", "build/fuzz"))
"""Where what failed is kept, with its command line; a round that passed is named there, and not run again."""


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    """Seeds, with the bundles of one small export."""
    folder = tmp_path_factory.mktemp("seeds")
    (folder / "m.onnx").write_bytes(seeds.plain_onnx().SerializeToString())
    targets = ("-t", "ort-fp32", "-t", "tflite-fp32")
    subprocess.run([sys.executable, "-m", "edgekit", "export", "m.onnx", *targets, "--quiet"], cwd=folder, check=True)
    return make_seeds(bundle_folders(folder / "build"))


@pytest.fixture(scope="session")
def worker():
    started = Worker()
    yield started
    started.close()


def fuzz(family: str, number: int, given: Seeds, worker: Worker, tmp_path: Path) -> list[str]:
    """What was wrong with the inputs of one round of a family."""
    wrong = []
    for index in range(INPUTS[family]):
        case = FAMILIES[family](given, Random(f"{family} {number} {index}"))
        faults = worker.faults(case, tmp_path / "run")
        if faults:
            kept = SAVED / f"{family}-{number}-{index}"
            shutil.rmtree(kept, ignore_errors=True)
            case.save(kept)
            wrong.append(f"{kept}: {'; '.join(faults)}")
    return wrong


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_an_input_that_nobody_meant_is_one_message(family, given, worker, tmp_path):
    wrong = fuzz(family, 0, given, worker, tmp_path)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("number", range(1, SLOW_ROUNDS + 1))
def test_ten_thousand_inputs_that_nobody_meant(family, number, given, worker, tmp_path):
    passed = SAVED / f"{family}-{number}.passed"
    if passed.exists():
        pytest.skip(f"passed before: {passed}")
    wrong = fuzz(family, number, given, worker, tmp_path)
    assert not wrong, "\n".join(wrong)
    passed.parent.mkdir(parents=True, exist_ok=True)
    passed.touch()
