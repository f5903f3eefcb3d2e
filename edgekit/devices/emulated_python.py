"""A Python for emulated devices: Debian's arm64 interpreter, and the wheels that a board would have.

What it is for: boards carry older runtimes (tflite-runtime 2.14), and a file must run there too.

    [devices.old-pi]
    uri = "emulated:pi4"
    runner = "python"
    packages = ["tflite-runtime==2.14.0", "numpy==1.26.4"]
"""

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from edgekit.devices.debian import unpack
from edgekit.devices.toolchain import LOADER, copy_system_libraries, download_wheel, host_version, writing
from edgekit.environment import cache_dir
from edgekit.target import Runtime

VERSION = (3, 11)
"""The newest that tflite-runtime 2.14 has a wheel for; Debian 12's."""

NAME = "python{}.{}".format(*VERSION)
PACKAGES = (f"{NAME}-minimal", f"lib{NAME}-minimal", f"lib{NAME}-stdlib", "zlib1g", "libexpat1", "libffi8")
LIBRARIES = ("libz.so.1", "libexpat.so.1", "libffi.so.8")
UNUSED = ("test", "idlelib", "lib2to3", "tkinter", "ensurepip", "pydoc_data")


def python_folder(packages: Sequence[str]) -> Path:
    """A folder with the interpreter and `packages`, made where the cache does not have it yet.

    Args:
        packages: requirements `name==version`.

    Raises:
        EdgekitError: EK609 without apt, the cross compiler's libraries or a wheel.
    """
    digest = hashlib.sha256(repr((NAME, tuple(packages))).encode()).hexdigest()[:12]
    folder = cache_dir().absolute() / "runners" / f"{NAME}-{digest}"
    if not folder.is_dir():
        with writing(folder) as beside:
            _take_interpreter(beside)
            for requirement in packages:
                _take_wheel(requirement, beside / "lib" / NAME)
    return folder


def packages_of_host(runtime: Runtime) -> tuple[str, ...]:
    """What a runtime needs there, in the versions of this host; EK701 where it is not installed here."""
    package = runtime.host or runtime.packages[0]
    return tuple(f"{name}=={host_version(name)}" for name in (package.distribution, "numpy"))


def start(folder: str) -> tuple[str, ...]:
    """The argv that starts the interpreter of a folder on the device."""
    return (f"{folder}/lib/{LOADER}", "--library-path", f"{folder}/lib", f"{folder}/bin/{NAME}")


def _take_interpreter(folder: Path) -> None:
    (folder / "bin").mkdir()
    with tempfile.TemporaryDirectory(prefix="edgekit-") as unpacked:
        system = Path(unpacked)
        unpack(PACKAGES, system)
        shutil.copy(system / "usr" / "bin" / NAME, folder / "bin" / NAME)
        ignored = shutil.ignore_patterns("__pycache__", "config-*", *UNUSED)
        shutil.copytree(
            system / "usr" / "lib" / NAME,
            folder / "lib" / NAME,
            ignore=ignored,
            symlinks=False,
            ignore_dangling_symlinks=True,
        )
        copy_system_libraries(folder / "lib")
        for name in LIBRARIES:
            shutil.copy(next(system.rglob(name)).resolve(), folder / "lib" / name)


def _take_wheel(requirement: str, folder: Path) -> None:
    """Unpack a wheel among the standard library's modules, where an interpreter without `site` finds it."""
    with tempfile.TemporaryDirectory(prefix="edgekit-") as downloads:
        wheel = download_wheel(requirement, VERSION, Path(downloads))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
