"""`ssh://[user@]host[:port]`: a board, through the system's ssh: the user's config, keys and jump hosts work."""

import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

from edgekit.devices.device import Address, Completed, Driver, drivers, missing_tool
from edgekit.devices.faults import check, unreachable, untrusted
from edgekit.devices.process import Expired, run_process
from edgekit.devices.shell import SHORT_TIMEOUT_S, TRANSFER_TIMEOUT_S, ShellDevice
from edgekit.errors import EdgekitError

CONNECT_TIMEOUT_S = 10
FOLDER = ".cache/edgekit"
_PLACE = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]*)(?::(?P<port>\d{1,5}))?"
)
_OPTIONS = {
    "BatchMode": "yes",  # a question for a password would hang
    "ConnectTimeout": str(CONNECT_TIMEOUT_S),
    "ServerAliveInterval": "5",  # a board that lost its power is noticed within 15 s
    "ServerAliveCountMax": "3",
    "ControlPersist": "60",
    "LogLevel": "ERROR",
}


class SshDevice(ShellDevice):
    """A board; one connection serves all commands (ControlMaster).

    Args:
        place: `user@host:port` where the URI does not say it itself.
    """

    def __init__(self, address: Address, place: str | None = None) -> None:
        super().__init__(address, FOLDER)
        found = _PLACE.fullmatch(place or address.rest)
        if found is None:
            raise EdgekitError(
                "EK106", what=f"{address.uri!r} is no address", where=address.name, fix="write ssh://user@host:port"
            )
        ssh = shutil.which("ssh")
        if ssh is None:
            raise missing_tool("ssh", "openssh-client", address.name)
        self._sockets = tempfile.TemporaryDirectory(prefix="edgekit-", dir="/tmp")  # a socket's path must be short
        options = [word for key, value in _OPTIONS.items() for word in ("-o", f"{key}={value}")]
        self._port = ["-p", found["port"]] if found["port"] else []
        user = f"{found['user']}@" if found["user"] else ""
        self._ssh = [ssh, "-S", f"{self._sockets.name}/s", *options, *self._port]
        self._host = f"{user}{found['host']}"
        try:
            self.reconnect()
        except EdgekitError:
            self._sockets.cleanup()
            raise

    def reconnect(self) -> None:
        """Start the connection that the commands share."""
        with tempfile.TemporaryFile() as words:  # a pipe would stay open as long as the connection
            try:
                done = subprocess.run(
                    [*self._ssh, "-M", "-N", "-f", self._host],
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=words,
                    timeout=2 * CONNECT_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise unreachable("ssh gets no answer", self.address.name, self._fix()) from error
            words.seek(0)
            message = Completed(done.returncode, b"", words.read(4096)).message
        if done.returncode:
            raise unreachable(message, self.address.name, self._fix())

    def shell(self, script: str, timeout_s: float, stdin: Path | None = None) -> Completed:
        command = [*self._ssh, "-T", self._host, "--", script]
        return run_process(command, timeout_s, where=self.address.name, stdin=stdin)

    def send(self, source: Path, name: str) -> None:
        part = shlex.quote(f"{name}.part")
        if not source.is_dir():
            self._feed(source, f"{self.before(name)} && cat > {part} && {self.after(name)}")
            return
        with tempfile.NamedTemporaryFile(prefix="edgekit-", suffix=".tar") as packed:
            with tarfile.open(packed.name, "w") as archive:
                archive.add(source, arcname=".", filter=_anonymous)
            unpack = f"mkdir {part} && tar -xf - -C {part}"
            self._feed(Path(packed.name), f"{self.before(name)} && {unpack} && {self.after(name)}")

    def _feed(self, source: Path, script: str) -> None:
        """Run a script that reads `source`."""
        check(self.ask(script, TRANSFER_TIMEOUT_S, source), self.address.name)

    def fetch(self, name: str, target: Path, limit_bytes: int) -> None:
        # One byte more than may come: a larger file is noticed without being read.
        script = f"{self.cd()} && head -c {limit_bytes + 1} {shlex.quote(name)}"
        data = check(self.ask(script, TRANSFER_TIMEOUT_S), self.address.name).stdout
        if len(data) > limit_bytes:
            raise untrusted(f"{name} is larger than {limit_bytes:,} bytes", self.address.name)
        target.write_bytes(data)

    def close(self) -> None:
        super().close()
        with suppress(Expired, OSError, EdgekitError):
            run_process([*self._ssh, "-O", "exit", self._host], SHORT_TIMEOUT_S, where=self.address.name)
        self._sockets.cleanup()

    def _fix(self) -> str:
        return f"try by hand: {shlex.join(['ssh', *self._port, self._host])}"


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the owner's names: they mean nothing on the board."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


drivers.add("ssh", Driver("ssh://[USER@]HOST[:PORT]", "a board, through the system's ssh", SshDevice), __name__)
