"""The C runner's folder for aarch64: cross-compiled here, with the runtime's own library, kept by hash.

    runner-tflite-3f9c0a11d2ee/
      runner                      edgekit/devices/runner_c/
      lib/libLiteRt.so            from the aarch64 wheel of the version that is installed on this host
      lib/ld-linux-aarch64.so.1   and the C and C++ libraries of the cross compiler

It starts by its own loader, so it runs on any aarch64 Linux or Android, whatever C library that has.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath

from edgekit.devices.device import missing_tool
from edgekit.environment import cache_dir, installed
from edgekit.errors import EdgekitError
from edgekit.target import Library, Runtime

COMPILER = "aarch64-linux-gnu-gcc"
PACKAGE = "gcc-aarch64-linux-gnu libc6-dev-arm64-cross libstdc++6-arm64-cross"
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
LOADER = "ld-linux-aarch64.so.1"
SYSTEM_LIBRARIES = (
    LOADER,
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libgcc_s.so.1",
    "libstdc++.so.6",
)
# glibc versions that wheels are tagged with; the runner brings the compiler's own glibc, which is newer than these.
PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in (17, 26, 27, 28, 31, 34)))
COMPILE_TIMEOUT_S, DOWNLOAD_TIMEOUT_S = 120, 600


def runner_folder(runtime: Runtime, library: Library) -> Path:
    """The folder, made where the cache does not have it yet.

    Raises:
        EdgekitError: EK609 without the cross compiler or the wheel, EK702 when the cache cannot be written.
    """
    compiler = find_compiler()
    version = host_version(library.distribution)
    folder = cache_dir().absolute() / "runners" / f"runner-{runtime.name}-{_hash(compiler, runtime.name, version)}"
    if not folder.is_dir():
        with writing(folder) as beside:
            (beside / "lib").mkdir()
            _compile(compiler, beside / "runner")
            copy_system_libraries(beside / "lib")
            _take_library(library, version, beside / "lib")
    return folder


def host_version(distribution: str) -> str:
    """The version installed on this host, or EK701: devices get the same, so that like is compared with like."""
    version = installed(distribution)
    if version is None:
        raise EdgekitError(
            "EK701",
            what=f"{distribution} is not installed",
            where="this Python environment",
            fix=f"pip install {distribution}",
        )
    return version


def find_compiler() -> str:
    """Path of the cross compiler, or EK609 with what to install."""
    found = shutil.which(COMPILER)
    if found is None:
        raise missing_tool(COMPILER, PACKAGE, "the runner for aarch64")
    return found


def copy_system_libraries(folder: Path) -> None:
    """The C and C++ libraries of the cross compiler, and the loader that starts programs with them."""
    compiler = find_compiler()
    for name in SYSTEM_LIBRARIES:
        shutil.copy(_compiler_file(compiler, name), folder / name)
    (folder / LOADER).chmod(0o755)


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """A fresh folder that becomes `folder` when the block ends; another process may win, with the same content."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as parent:
            beside = Path(parent) / folder.name
            beside.mkdir()
            yield beside
            if not folder.is_dir():
                beside.rename(folder)
    except OSError as error:
        raise EdgekitError(
            "EK702",
            what=f"the cache cannot be written: {error.strerror}",
            where=str(folder.parent),
            fix="free some space, or set EDGEKIT_CACHE",
        ) from error


def download_wheel(requirement: str, python: tuple[int, int], folder: Path) -> Path:
    """The aarch64 wheel of `name==version`, fetched by pip into `folder`; EK609 when there is none."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += [word for name in PLATFORMS for word in ("--platform", name)]
    command += ["--python-version", "{}.{}".format(*python), "--implementation", "cp", "--dest", str(folder)]
    try:
        done = subprocess.run(
            [*command, requirement], capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False
        )
        reason = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    except subprocess.TimeoutExpired:
        reason = f"no answer within {DOWNLOAD_TIMEOUT_S} s"
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise EdgekitError(
            "EK609",
            what=f"no aarch64 wheel of {requirement}: {reason}",
            where="pip download",
            fix='check the network; a board with its own Python needs none: runner = "python" in devices.toml',
        )
    return wheels[0]


@cache
def _sources() -> tuple[tuple[str, bytes], ...]:
    folder = files("edgekit.devices") / "runner_c"
    return tuple((file.name, file.read_bytes()) for file in sorted(folder.iterdir(), key=lambda f: f.name))


@cache
def _hash(compiler: str, kind: str, version: str) -> str:
    """Of everything that decides what is in the folder."""
    found = hashlib.sha256(f"{kind} {version} {_output(compiler, '--version')} {FLAGS}".encode())
    for name, data in _sources():
        found.update(name.encode() + data)
    return found.hexdigest()[:12]


def _compile(compiler: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        for name, data in _sources():
            (Path(folder) / name).write_bytes(data)
        sources = [str(file) for file in sorted(Path(folder).glob("*.c"))]
        _output(compiler, *FLAGS, "-o", str(target), *sources, "-ldl")


def _compiler_file(compiler: str, name: str) -> Path:
    found = Path(_output(compiler, f"-print-file-name={name}").strip())
    if not found.is_absolute():
        raise missing_tool(name, PACKAGE, "the C runner")
    return found


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False)
    if done.returncode:
        raise EdgekitError(
            "EK609",
            what=f"the cross compiler failed: {(done.stderr.strip().splitlines() or ['no reason'])[0]}",
            where=command[0],
            fix=f"apt-get install --reinstall {PACKAGE}",
        )
    return done.stdout


def _take_library(library: Library, version: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="edgekit-") as downloads:
        requirement = f"{library.distribution}=={version}"
        wheel = download_wheel(requirement, sys.version_info[:2], Path(downloads))
        with zipfile.ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if PurePosixPath(name).match(library.member)]
            if not members:
                raise EdgekitError(
                    "EK609",
                    what=f"no {library.file} in {wheel.name}",
                    where=requirement,
                    fix="try another version of it",
                )
            with archive.open(members[0]) as source, open(folder / library.file, "wb") as target:
                shutil.copyfileobj(source, target)
