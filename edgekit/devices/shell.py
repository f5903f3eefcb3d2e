"""What devices behind a remote shell have in common: SSH boards and Android phones.

A remote shell takes a string, so every word is quoted by shlex, and names on the device are made by edgekit
(`safe_name`): no file name of the user's is ever in a command.
"""

import re
import secrets
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from edgekit.devices.device import Address, Completed, DeviceInfo, RunnerKind, safe_name
from edgekit.devices.faults import expired, lost
from edgekit.devices.probe import SCRIPT, read_probe
from edgekit.devices.process import Expired
from edgekit.errors import EdgekitError

SHORT_TIMEOUT_S, TRANSFER_TIMEOUT_S = 20.0, 600.0
_ANSWER = re.compile(rb"edgekit-([0-9a-f]{12}) (\d{1,3})\s")

T = TypeVar("T")


class ShellDevice(ABC):
    """A device that runs shell commands.

    Args:
        folder: where edgekit's files are; relative to the login's home where it does not start with a slash.
    """

    def __init__(self, address: Address, folder: str) -> None:
        self.address = address
        self.folder = address.folder or folder
        self.process_file = f"process-{secrets.token_hex(6)}"
        self._rubbish: list[str] = []

    @property
    def runner(self) -> RunnerKind:
        return self.address.runner or "c"

    @abstractmethod
    def shell(self, script: str, timeout_s: float, stdin: Path | None = None) -> Completed:
        """Run a script in the device's shell; Expired after `timeout_s`. The exit code is the client's own."""

    @abstractmethod
    def send(self, source: Path, name: str) -> None:
        """Copy a file or folder of this host to `name` in the folder, by way of a name beside it."""

    @abstractmethod
    def fetch(self, name: str, target: Path, limit_bytes: int) -> None:
        """Copy a file of the folder to this host."""

    @abstractmethod
    def reconnect(self) -> None:
        """After a lost connection: reach for the device again; EK601 when it does not answer."""

    def ask(self, script: str, timeout_s: float = SHORT_TIMEOUT_S, stdin: Path | None = None) -> Completed:
        """Run a script; EK602 when the device did not say how it ended, whatever the client claims."""
        token = secrets.token_hex(6)
        try:
            done = self.shell(f"( {script}\n); echo edgekit-{token} $? >&2", timeout_s, stdin)
        except Expired as error:
            raise expired(timeout_s, self.address.name) from error
        return self._answered(done, token)

    def _answered(self, done: Completed, token: str) -> Completed:
        found = [match for match in _ANSWER.finditer(done.stderr) if match[1].decode() == token]
        if not found:
            raise lost(done.message, self.address.name)
        stderr = done.stderr[: found[-1].start()]
        return Completed(int(found[-1][2]), done.stdout, stderr, done.wall_s)

    def info(self) -> DeviceInfo:
        done = self._twice(lambda: self.ask(SCRIPT))
        return read_probe(done.stdout.decode("utf-8", "replace"), self.address)

    def push(self, source: Path, name: str) -> None:
        try:
            self._twice(lambda: self.send(source, safe_name(name)))
            self._rubbish.clear()  # gone since `before`; what has just been put there may have one of these names
        except EdgekitError:
            self.remove(f"{name}.part")
            raise

    def before(self, name: str) -> str:
        """Script in front of a transfer: the folder made, leftovers gone; the cwd is the folder."""
        parent = shlex.quote(f"{self.folder}/{name}".rpartition("/")[0])
        rubbish = shlex.join([*self._rubbish, f"{name}.part"])
        return f"mkdir -p {parent} && {self.cd()} && rm -rf {rubbish}"

    def after(self, name: str) -> str:
        """Script behind a transfer: what is complete takes its name, unless another was faster."""
        place, beside = shlex.quote(name), shlex.quote(f"{name}.part")
        return f"{{ [ -d {place} ] || mv {beside} {place}; }} && rm -rf {beside}"

    def pull(self, name: str, target: Path, limit_bytes: int) -> None:
        self._twice(lambda: self.fetch(safe_name(name), target, limit_bytes))

    def exists(self, name: str) -> bool:
        return self._twice(lambda: self.ask(f"{self.cd()} && [ -e {shlex.quote(safe_name(name))} ]")).exit_code == 0

    def remove(self, name: str) -> None:
        """At the next push, or when the device is closed: a command of its own would cost as much as a run."""
        self._rubbish.append(safe_name(name))

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """Run a program; its process id is kept there, so that it can be killed when it hangs or we lose it."""
        words = " ".join(shlex.quote(word) for word in argv)
        start = f'sh -c \'echo $$ > "$0" && exec "$@"\' {self.process_file} {words}'
        self.remove(self.process_file)
        try:
            return self.ask(f"mkdir -p {self._quoted_folder()} && {self.cd()} && {start}", timeout_s)
        except EdgekitError as error:
            if error.code in ("EK602", "EK603", "EK608"):
                self._kill()
            raise

    def _kill(self) -> None:
        """Leave no process behind, if the device still answers. Where it does not, the runner's own alarm ends it."""
        with suppress(EdgekitError):
            self.reconnect()
            self.ask(f"{self.cd()} && kill -9 $(cat {self.process_file})")

    def close(self) -> None:
        """Clean up as far as the device still answers; a fault that led here is not hidden by another."""
        if self._rubbish:
            with suppress(EdgekitError):
                self.ask(f"{self.cd()} && rm -rf {shlex.join(self._rubbish)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def cd(self) -> str:
        return f"cd {self._quoted_folder()}"

    def _quoted_folder(self) -> str:
        return shlex.quote(self.folder)

    def _twice(self, action: Callable[[], T]) -> T:
        """Once more after a lost connection: what it does may safely be done again."""
        try:
            return action()
        except EdgekitError as error:
            if error.code != "EK602":
                raise
            self.reconnect()
            return action()
