"""The board behind what a network brings to it: a real sshd on loopback, and the adb daemon for the real adb client.

Fixtures for every conftest.py that imports them. What is absent here makes a test skip with the reason.
"""

import getpass
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from board import Board, missing
from loopback import free_port, wait_for_port

from edgekit.devices.toolchain import runner_folder
from edgekit.errors import EdgekitError
from edgekit.target import runtimes

HERE = Path(__file__).parent


def skip_without(*tools: str) -> None:
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} not installed")


@pytest.fixture(scope="session")
def emulation() -> None:
    """Skips where arm64 programs cannot be built or run."""
    skip_without("qemu-aarch64", "aarch64-linux-gnu-gcc")
    try:
        for runtime in runtimes():
            runner_folder(runtime, runtime.library)
    except EdgekitError as error:
        if error.code != "EK609":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def board(emulation, tmp_path_factory) -> Iterator[Board]:
    """A booted arm64 board."""
    if reason := missing():
        pytest.skip(reason)
    try:
        booted = Board(tmp_path_factory.mktemp("board"))
    except RuntimeError as error:  # no user namespaces, or a kernel before 6.7
        pytest.skip(str(error))
    yield booted
    booted.power_off()


class Sshd:
    """A real sshd on loopback with keys of its own, whose every command runs on the board."""

    def __init__(self, board: Board, folder: Path) -> None:
        self.port = free_port()
        for name in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        enter = folder / "enter"
        words = " ".join(board.enter)
        enter.write_text(f'#!/bin/sh\nexec {words} /bin/sh -c "cd; ${{SSH_ORIGINAL_COMMAND:-sh}}"\n')
        enter.chmod(0o755)
        config = folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nPermitRootLogin yes\nForceCommand {enter}\n"
        )
        self.folder = folder
        Path("/run/sshd").mkdir(exist_ok=True)
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
        self.log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [str(sshd), "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        wait_for_port(self.port)
        # The user's own configuration, as ssh reads it: here it names the key.
        self.wrapper = folder / "bin"
        self.wrapper.mkdir()
        known = f"-o UserKnownHostsFile={folder}/known -o StrictHostKeyChecking=accept-new"
        (self.wrapper / "ssh").write_text(
            f'#!/bin/sh\nexec {shutil.which("ssh")} -F none -i {folder}/user {known} "$@"\n'
        )
        (self.wrapper / "ssh").chmod(0o755)

    @property
    def uri(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def drop_connections(self) -> None:
        """Kill the processes that serve clients, as a network that goes down would."""
        for line in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split():
            os.kill(int(line), signal.SIGKILL)

    def stop(self) -> None:
        self.drop_connections()
        self._process.terminate()
        self._process.wait()
        self.log.close()


class Phone:
    """The board behind the adb daemon; the client's server is one of this test's own."""

    def __init__(self, board: Board) -> None:
        self.board, self.port, self.server_port = board, free_port(), free_port()
        self._daemon: subprocess.Popen[bytes] | None = None
        self.plug_in()

    @property
    def uri(self) -> str:
        return f"adb:127.0.0.1:{self.port}"

    def plug_in(self) -> None:
        command = [sys.executable, str(HERE / "adb_daemon.py"), str(self.port), *self.board.enter]
        self._daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for_port(self.port)

    def unplug(self) -> None:
        assert self._daemon is not None
        self._daemon.kill()
        self._daemon.wait()

    def adb(self, *words: str, **environment: str) -> None:
        everything = {**os.environ, **environment}
        subprocess.run(
            ["adb", *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False, env=everything
        )

    def start_server(self, home: Path) -> None:
        """With a home of its own: the server keeps its key there."""
        self.adb("start-server", HOME=str(home))

    def stop(self) -> None:
        self.unplug()
        self.adb("kill-server")


@pytest.fixture(scope="session")
def sshd(board, tmp_path_factory) -> Iterator[Sshd]:
    skip_without("ssh", "ssh-keygen", "tar")
    if shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin") is None:
        pytest.skip("sshd not installed")
    server = Sshd(board, tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def phone(board, tmp_path_factory) -> Iterator[Phone]:
    skip_without("adb")
    with pytest.MonkeyPatch.context() as patch:
        made = Phone(board)
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(made.server_port))
        made.start_server(tmp_path_factory.mktemp("home"))
        yield made
        made.stop()
