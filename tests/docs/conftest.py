"""The worlds in which printed lines are run, and the devices that they name."""

import getpass
import os
from pathlib import Path

import pytest
from printed import COMMANDS
from servers import board, emulation, phone, sshd
from world import World, make_template

__all__ = ["board", "emulation", "phone", "sshd"]

HOSTS = ("board", "raspberrypi.local")
WRAPPER = """#!/bin/sh
# ~/.ssh/config as a reader would have it: the documents' host is the board on loopback.
for word do
  shift
  case "$word" in {known}) word={user}@127.0.0.1 ;; esac
  set -- "$@" "$word"
done
exec {ssh} -p {port} "$@"
"""


@pytest.fixture(scope="session")
def worlds(tmp_path_factory) -> dict[str, World]:
    """A world for each document: a folder of its own with what its reader brings along."""
    parent = tmp_path_factory.mktemp("worlds")
    make_template(parent / "template")
    made: dict[str, World] = {}
    for document in dict.fromkeys(command.document for command in COMMANDS):
        made[document] = World(document, parent / document.replace("/", "-"), made, parent / "template")
    return made


@pytest.fixture
def reader(monkeypatch, tmp_path) -> pytest.MonkeyPatch:
    """The environment of somebody who has configured nothing."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("EDGEKIT_DEVICES", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def devices(request, reader, tmp_path):
    """A function: a text that names devices -> they are reachable under these names, or the test skips."""

    def reach(text: str) -> None:
        if "emulated:" in text or "pi4" in text or "oldpi" in text:
            request.getfixturevalue("emulation")
        if any(host in text for host in HOSTS):
            reader.setenv("PATH", f"{ssh_wrapper(request.getfixturevalue('sshd'), tmp_path)}:{os.environ['PATH']}")
        if "adb" in text:
            phone = request.getfixturevalue("phone")
            reader.setenv("ANDROID_ADB_SERVER_PORT", str(phone.server_port))
            phone.adb("connect", phone.uri.removeprefix("adb:"))

    return reach


def ssh_wrapper(sshd, folder: Path) -> Path:
    """A folder for PATH with an ssh that knows the documents' hosts."""
    known = "|".join(f"pi@{host}" for host in HOSTS)
    script = WRAPPER.format(known=known, user=getpass.getuser(), ssh=sshd.wrapper / "ssh", port=sshd.port)
    wrapper = folder / "hosts"
    wrapper.mkdir()
    (wrapper / "ssh").write_text(script)
    (wrapper / "ssh").chmod(0o755)
    return wrapper
