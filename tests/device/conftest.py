"""The devices of these tests: emulated cores, and one emulated board behind a real sshd and behind the real adb client.

What is absent here makes a test skip with the reason.
"""

import os
from pathlib import Path

import pytest
from servers import board, emulation, phone, sshd

import edgekit

__all__ = ["board", "emulation", "phone", "sshd"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder is one of the marker's."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("device")


@pytest.fixture(scope="session")
def bundles(tmp_path_factory) -> dict[str, Path]:
    """The bundled model as int8 files of both runtimes: target -> bundle."""
    out = tmp_path_factory.mktemp("build")
    run = edgekit.export("mobilenet_v3_small", target=["tflite-int8", "ort-int8"], out=out)
    return run.bundles


@pytest.fixture(params=["emulated:cortex-a53", "emulated:cortex-a72", "emulated:cortex-a76", "ssh", "adb"])
def uri(request, emulation) -> str:
    """Every kind of device in turn."""
    if request.param in ("ssh", "adb"):
        return str(request.getfixturevalue(f"{request.param}_uri"))
    return str(request.param)


@pytest.fixture(params=["ssh", "adb"])
def remote_uri(request) -> str:
    """The devices behind a connection."""
    return str(request.getfixturevalue(f"{request.param}_uri"))


@pytest.fixture
def ssh_uri(sshd, monkeypatch) -> str:
    """The board over SSH."""
    monkeypatch.setenv("PATH", f"{sshd.wrapper}:{os.environ['PATH']}")
    return sshd.uri


@pytest.fixture
def adb_uri(phone) -> str:
    """The board over adb."""
    return phone.uri
