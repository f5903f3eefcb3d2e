"""Compilers and published classes for the generated sources: the system's, or from the npm registry, once.

Kept in $EDGEKIT_TEST_TOOLS, else in the user's cache. A test without its tool is skipped with the reason.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import edgekit
from edgekit.android.module import SUFFIX, Module, write_module

KOTLIN = ("kotlin-compiler", "2.4.20")
"""JetBrains' compiler as published on npm; its jar is the whole one, for the JVM too."""

ONNXRUNTIME = ("com.github.asus4.onnxruntime", "0.4.9")
"""Unity's package of ONNX Runtime, which holds the Android library (onnxruntime.aar, 1.29.0) unchanged."""

APPS = Path(__file__).parent / "apps"
"""Tests that call a module's classes as an app does, for each language."""

AAR = "package/Plugins/Android/onnxruntime.aar"


def program(name: str, package: str) -> str:
    """Path of a program of the system."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {package}")
    return found


def run(*command: str | Path, cwd: Path | None = None, timeout_s: int = 600) -> str:
    """Run a command that must succeed; its output is in the failure's message."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, timeout=timeout_s, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}"
    return done.stdout


def cache() -> Path:
    chosen = os.environ.get("EDGEKIT_TEST_TOOLS")
    return Path(chosen) if chosen else Path.home() / ".cache" / "edgekit" / "test-tools"


def kotlin_home() -> Path:
    """The folder of lib/kotlin-compiler.jar."""
    return _fetched(KOTLIN, lambda archive, folder: archive.extractall(folder, filter="data")) / "package"


def onnxruntime_aar() -> Path:
    """onnxruntime.aar, of which a folder holds classes.jar and the libraries' ELF files."""
    folder = _fetched(ONNXRUNTIME, lambda archive, folder: archive.extract(AAR, folder, filter="data"))
    return folder / AAR


def onnxruntime_classes() -> Path:
    """ONNX Runtime's published Java classes."""
    jar = onnxruntime_aar().with_name("classes.jar")
    if not jar.exists():
        with zipfile.ZipFile(onnxruntime_aar()) as aar:
            aar.extract("classes.jar", jar.parent)
    return jar


def _fetched(package: tuple[str, str], unpack) -> Path:
    """The unpacked npm package; npm checks its hash."""
    name, version = package
    folder = cache() / f"{name}-{version}"
    if folder.is_dir():
        return folder
    npm = program("npm", "npm")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        command = [npm, "pack", "--silent", f"{name}@{version}"]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=900)
        if done.returncode:
            pytest.skip(f"npm cannot fetch {name}: {done.stderr.strip().splitlines()[-1:]}")
        (packed,) = Path(work).glob("*.tgz")
        unpacked = Path(work) / "unpacked"
        with tarfile.open(packed) as archive:
            unpack(archive, unpacked)
        unpacked.rename(folder)
    return folder


def templates() -> list[Path]:
    """Kotlin and Java sources of the package."""
    folder = Path(edgekit.__file__).parent / "android" / "templates"
    return [path for suffix in ("kt", "java") for path in sorted(folder.rglob(f"*.{suffix}"))]


def java(sources: list[Path], out: Path, *classpath: Path) -> None:
    """Compile with every warning an error."""
    javac = program("javac", "openjdk-17-jdk-headless")
    run(javac, "-Xlint:all,-classfile", "-Werror", "--release", "11", *_classpath(*classpath), "-d", out, *sources)


def kotlin(sources: list[Path], out: Path, *classpath: Path) -> None:
    """Compile with every warning an error."""
    jvm, home = program("java", "openjdk-17-jre-headless"), kotlin_home()
    jars = ":".join(str(jar) for jar in sorted((home / "lib").glob("*.jar")) if "sources" not in jar.name)
    flags = ("-no-reflect", "-Werror", "-jvm-target", "11", "-kotlin-home", home)
    compiler = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
    run(jvm, "-cp", jars, compiler, *flags, *_classpath(*classpath), "-d", out, *sources)


def kotlin_runtime() -> Path:
    return kotlin_home() / "lib" / "kotlin-stdlib.jar"


def _classpath(*entries: Path) -> list[str]:
    return ["-cp", ":".join(map(str, entries))] if entries else []


@dataclass(frozen=True)
class Jvm:
    """Where modules are compiled and their instrumented tests run: with stubs and, behind them, the real runtime.

    Args:
        stubs: folder of tests/android/stubs/ -> its compiled classes.
        junit: JUnit's jars, with colons between them.
    """

    stubs: dict[str, Path]
    junit: str

    def compile(self, module: Module, folder: Path) -> Path:
        """The module's sources and its tests as classes; ONNX Runtime's published ones, stubs of LiteRT's API."""
        out = folder.with_name(f"{folder.name}-classes")
        sources = sorted(folder.glob(f"src/*/{module.language}/**/*.{SUFFIX[module.language]}"))
        runtime = onnxruntime_classes() if library(module) == "onnxruntime" else self.stubs["litert"]
        classpath = [self.stubs["android"], runtime, *(Path(jar) for jar in self.junit.split(":"))]
        {"java": java, "kotlin": kotlin}[module.language](sources, out, *classpath)
        return out

    def run(self, module: Module, folder: Path, *tests: str) -> str:
        """Compile the module in `folder` and run classes of its tests; what JUnit says."""
        path = [self.compile(module, folder), *(self.stubs[name] for name in ("android", "bridge", library(module)))]
        if module.language == "kotlin":
            path.append(kotlin_runtime())
        properties = {
            "edgekit.python": sys.executable,
            "edgekit.server": Path(__file__).parent / "harness" / "model_server.py",
            "edgekit.main.assets": folder / "src" / "main" / "assets",
            "edgekit.test.assets": folder / "src" / "androidTest" / "assets",
        }
        given = [f"-D{key}={value}" for key, value in properties.items()]
        classpath = ":".join([*map(str, path), self.junit])
        names = [f"edgekit.{module.name}.{test}" for test in tests or ("GoldenTest",)]
        virtual_machine = program("java", "openjdk-17-jre-headless")
        return run(virtual_machine, *given, "-cp", classpath, "org.junit.runner.JUnitCore", *names)

    def check(self, module: Module, folder: Path) -> None:
        """Write, compile and run; the module's own two tests pass."""
        write_module(module, folder)
        assert "OK (2 tests)" in self.run(module, folder)


def library(module: Module) -> str:
    """Which stubs stand for the module's runtime."""
    return "litert" if module.bundle.target.startswith("tflite") else "onnxruntime"
