"""Files run on tflite-runtime 2.14 (2023), which many boards still carry, and give what ai-edge-litert gives."""

import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tflite_conformance.catalogue import all_cases
from tflite_conformance.execute import TARGETS, emit_proto, graph_of, run_emitted, stored_inputs

from edgekit import pipeline
from edgekit.recipe import make_recipe
from edgekit.target import Emitted

pytestmark = pytest.mark.slow

OLD = (2, 14)
REQUIREMENTS = ("tflite-runtime==2.14.0", "numpy<2")
RUNNER = Path(__file__).parent / "run_files.py"
FLOAT_TARGETS = ("tflite-fp32", "tflite-fp16", "tflite-dynamic")
ALL_TARGETS = (*FLOAT_TARGETS, "tflite-int8", "tflite-int16x8")
MODELS = {
    "mobilenet_v1": {"alpha": 0.25},
    "mobilenet_v2": {"width": 0.35},
    "mobilenet_v3_small": {"width": 0.5},
    "resnet18": {},
}

Outputs = list[NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class File:
    """A file, what to feed it, and what ai-edge-litert makes of that with XNNPACK and with the builtin kernels."""

    name: str
    emitted: Emitted
    inputs: Outputs
    wanted: tuple[Outputs, Outputs]

    @staticmethod
    def of(name: str, emitted: Emitted, inputs: Outputs) -> "File":
        return File(name, emitted, inputs, (run_emitted(emitted, inputs), run_emitted(emitted, inputs, delegate=False)))

    @property
    def is_loadable(self) -> bool:
        """Whether the file says that this runtime is new enough."""
        return tuple(map(int, self.emitted.min_runtime.split(".")))[:2] <= OLD


@pytest.fixture(scope="session")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment that holds tflite-runtime 2.14."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("tflite-runtime 2.14 has no wheel for this Python; 3.11 is the last")
    folder = tmp_path_factory.mktemp("old-runtime")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
    installed = subprocess.run(install, capture_output=True, text=True, timeout=600)
    if installed.returncode:
        pytest.skip(f"pip cannot install tflite-runtime 2.14: {installed.stderr.strip().splitlines()[-1:]}")
    return python


def run_old(python: Path, folder: Path, files: list[File], *arguments: str) -> dict[str, Outputs | str]:
    """Name -> outputs, or the error. One process, and another only behind a file that killed it."""
    for file in files:
        (folder / f"{file.name}.tflite").write_bytes(file.emitted.data)
        np.savez(folder / f"{file.name}.npz", *file.inputs)
    while True:
        command = [str(python), str(RUNNER), str(folder), *arguments]
        process = subprocess.run(command, capture_output=True, text=True, timeout=600)
        waiting = [path for path in sorted(folder.glob("*.tflite")) if not _finished(path)]
        if not waiting:
            return {file.name: _result(folder / file.name) for file in files}
        assert process.returncode < 0, process.stderr  # a signal; anything else is a fault of the runner
        waiting[0].with_suffix(".error").write_text(f"killed by signal {-process.returncode}: {process.stderr[-200:]}")


def _finished(path: Path) -> bool:
    return path.with_suffix(".out.npz").exists() or path.with_suffix(".error").exists()


def _result(stem: Path) -> Outputs | str:
    error = stem.with_name(f"{stem.name}.error")
    if error.exists():
        return error.read_text()
    loaded = np.load(stem.with_name(f"{stem.name}.out.npz"))
    return [loaded[name] for name in loaded.files]


def faults(
    files: list[File], found: dict[str, Outputs | str], steps: int = 1, tolerance: float = 1e-5
) -> Iterator[str]:
    """One line per file that failed, or whose outputs are like neither set of today's kernels."""
    for file in files:
        outputs = found[file.name]
        if isinstance(outputs, str):
            yield f"{file.name}: {outputs}"
            continue
        distance = min(max(map(_distance, outputs, wanted)) for wanted in file.wanted)
        limit = steps if outputs[0].dtype.kind in "iu" else tolerance
        if not distance <= limit:
            yield f"{file.name}: {distance:.3g} off, {file.emitted.operators}"


def _distance(found: NDArray[np.generic], wanted: NDArray[np.generic]) -> float:
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    error = float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max())
    return error if found.dtype.kind in "iu" else error / max(float(np.abs(wanted).max()), 1e-6)


@pytest.fixture(scope="session")
def case_files() -> list[File]:
    """Every conformance case in every target that takes it."""
    files = []
    for case in all_cases():
        for dtype in () if case.rejected else case.proved:
            model, feeds = graph_of(case, dtype)
            for target in FLOAT_TARGETS if dtype == "float32" else (TARGETS[dtype],):
                emitted = emit_proto(model, target)
                name = f"{case.identifier} {target}".replace(" ", "-").replace("/", "|")
                files.append(File.of(name, emitted, stored_inputs(emitted, feeds)))
    return files


@pytest.mark.parametrize("kernels", ["xnnpack", "builtin"])
def test_every_conformance_file_runs_and_agrees(
    old_python: Path, case_files: list[File], tmp_path: Path, kernels: str
) -> None:
    assert len(case_files) > 1000
    assert list(faults(case_files, run_old(old_python, tmp_path, case_files, kernels))) == []


def test_no_conformance_file_asks_for_a_newer_runtime(case_files: list[File]) -> None:
    newer = {file.name: file.emitted.min_runtime for file in case_files if not file.is_loadable}
    assert newer == {}


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of calibration images."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(3)
    for index in range(8):
        coarse = random.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize("model", MODELS)
def test_a_whole_network_in_every_target_runs_and_agrees(
    old_python: Path, images: Path, tmp_path: Path, model: str
) -> None:
    recipe = make_recipe(  # of random weights: its gates may fail, the files are written all the same
        model=model,
        targets=ALL_TARGETS,
        weights="random",
        num_classes=10,
        input_size=(64, 64),
        calibration=str(images),
        model_args=MODELS[model],
        out=tmp_path / "build",
    )
    run = pipeline.export(recipe)
    batch = run.images.compared[:1]
    files = []
    for target in ALL_TARGETS:
        emitted = run.artifacts[target].emitted
        files.append(File.of(target, emitted, stored_inputs(emitted, {"image": batch})))
    folder = tmp_path / "files"
    folder.mkdir()
    assert [file.name for file in files if not file.is_loadable] == []
    assert list(faults(files, run_old(old_python, folder, files))) == []
