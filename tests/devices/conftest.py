"""A cache of their own for the tests of devices: nothing is found there, and nothing is left in the user's."""

import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import files
from pathlib import Path

import pytest

from edgekit.devices.device import Address
from edgekit.devices.local import LocalDevice
from edgekit.devices.toolchain import FLAGS
from edgekit.target import Runtime


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EDGEKIT_DEVICES", raising=False)


@pytest.fixture
def local(tmp_path):
    """This host, with a folder of the test's own."""
    with LocalDevice(Address("local", "local", "local", "", folder=str(tmp_path / "device"))) as device:
        yield device


@pytest.fixture(scope="session")
def c_runner(package, tmp_path_factory) -> Callable[[Runtime], tuple[str, ...]]:
    """`c_runner(runtime)`: the argv that starts the C runner, compiled for this host, with the host's own runtime."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    program = tmp_path_factory.mktemp("runner") / "runner"
    sources = sorted(map(str, Path(package, "devices", "runner_c").glob("*.c")))
    subprocess.run([compiler, *FLAGS, "-Werror", "-o", str(program), *sources, "-ldl"], check=True)

    def start(runtime: Runtime) -> tuple[str, ...]:
        library = runtime.library
        [found] = [file for file in files(library.distribution) or () if file.match(library.member)]
        return (str(program), "--runtime", runtime.name, "--library", str(found.locate()))

    return start
