"""The preprocessing in Java, Kotlin and C++ is Python's, bit for bit, whatever the image and the contract."""

from pathlib import Path

import numpy as np
import pytest
import toolbox
from cases import MODES, SIZES, all_cases, pack, unpack

from edgekit.android.template import render

HARNESS = Path(__file__).parent / "harness"
PACKAGE = {"PACKAGE": "edgekit.harness"}
JAVA = ("Preprocessor", "InputContract", "TensorType")
OPTIMISATION = ("-O2", "-O3 -march=native -ffp-contract=fast")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """The cases, the file that holds them, and what Python makes of each."""
    made = all_cases()
    path = tmp_path_factory.mktemp("cases") / "cases.bin"
    path.write_bytes(pack(made))
    return made, path, [case.expected() for case in made]


def differing(command, cases, tmp_path):
    """Names of the cases whose tensors are not Python's."""
    made, given, expected = cases
    toolbox.run(*command, given, tmp_path / "answer")
    answers = unpack((tmp_path / "answer").read_bytes())
    assert len(answers) == len(expected) > 300
    return [case.name for case, answer, wanted in zip(made, answers, expected, strict=True) if answer != wanted]


def test_the_cases_are_worth_their_name(cases):
    made, _, expected = cases
    assert {case.tensor.dtype for case in made} == {"float32", "int8", "uint8", "int16"}
    assert {case.image.mode for case in made} == set(MODES)
    assert all(len(np.unique(np.frombuffer(tensor, np.uint8))) > 100 for tensor in expected[:: len(SIZES)][:2])


def test_java_gives_what_python_gives(cases, tmp_path):
    sources = [write(tmp_path / f"{name}.java", render(f"java/{name}.java", PACKAGE)) for name in JAVA]
    toolbox.java([*sources, HARNESS / "Harness.java"], tmp_path / "out")
    command = (toolbox.program("java", "openjdk-17-jre-headless"), "-cp", tmp_path / "out", "edgekit.harness.Harness")
    assert differing(command, cases, tmp_path) == []


def test_kotlin_gives_what_python_gives(cases, tmp_path):
    source = write(tmp_path / "Preprocessor.kt", render("kotlin/Preprocessor.kt", PACKAGE))
    toolbox.kotlin([source], tmp_path / "out")
    toolbox.java([HARNESS / "Harness.java"], tmp_path / "harness", tmp_path / "out")
    classpath = f"{tmp_path / 'harness'}:{tmp_path / 'out'}:{toolbox.kotlin_runtime()}"
    command = (toolbox.program("java", "openjdk-17-jre-headless"), "-cp", classpath, "edgekit.harness.Harness")
    assert differing(command, cases, tmp_path) == []


def compile_cpp(compiler, folder, *flags):
    """The harness over the generated header, every warning an error."""
    header = write(folder / "preprocessor.h", render("cpp/preprocessor.h", {}))
    warnings = ("-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-pedantic", "-Werror")
    source, binary = HARNESS / "harness.cpp", folder / "harness"
    toolbox.run(compiler, "-std=c++17", *warnings, *flags, "-I", header.parent, source, "-o", binary)
    return binary


@pytest.mark.parametrize("flags", OPTIMISATION)
def test_cpp_gives_what_python_gives(cases, tmp_path, flags):
    """However far the compiler goes: fused multiply-adds would change a last bit."""
    binary = compile_cpp(toolbox.program("g++", "g++"), tmp_path, *flags.split())
    assert differing((binary,), cases, tmp_path) == []


def test_cpp_gives_the_same_on_arm(cases, tmp_path):
    """Where every core fuses multiplication and addition, and gcc does so unasked."""
    compiler = toolbox.program("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")
    emulator = toolbox.program("qemu-aarch64", "qemu-user")
    binary = compile_cpp(compiler, tmp_path, "-O3", "-static")
    assert differing((emulator, "-cpu", "cortex-a76", binary), cases, tmp_path) == []
