"""`adb[:SERIAL]`: an Android phone by USB or network, through the system's adb."""

import re
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from edgekit.devices.device import Address, Completed, Driver, drivers, missing_tool
from edgekit.devices.faults import check, code_for, expired, failure, lost, unreachable, untrusted
from edgekit.devices.process import Expired, run_process
from edgekit.devices.shell import SHORT_TIMEOUT_S, TRANSFER_TIMEOUT_S, ShellDevice
from edgekit.errors import EdgekitError

FOLDER = "/data/local/tmp/edgekit"
CONNECT_TRIES, CONNECT_PAUSE_S = 5, 0.5
_SERIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]*")
_GONE = ("device offline", "no devices", "not found", "closed", "protocol fault", "connection reset", "cannot connect")
"""How adb words the loss of a phone or of its own server."""


class AdbDevice(ShellDevice):
    """A phone."""

    def __init__(self, address: Address) -> None:
        super().__init__(address, FOLDER)
        if address.rest and not _SERIAL.fullmatch(address.rest):
            raise EdgekitError(
                "EK106", what=f"{address.rest!r} is no serial", where=address.name, fix="see: adb devices"
            )
        found = shutil.which("adb")
        if found is None:
            raise missing_tool("adb", "adb", address.name)
        self._adb = found
        self._serial = address.rest or self._only_one()
        self.reconnect()

    def _only_one(self) -> str:
        serials = [serial for serial, state in self._listed() if state == "device"]
        if len(serials) != 1:
            what = f"{len(serials)} phones are connected" if serials else "no phone is connected"
            named = (
                f"name one: {', '.join(f'adb:{s}' for s in serials)}" if serials else "connect one; see: adb devices"
            )
            raise unreachable(what, self.address.name, named)
        return serials[0]

    def _listed(self) -> list[tuple[str, str]]:
        return listed(self._adb, self.address.name)

    def reconnect(self) -> None:
        """Wait for the phone, and connect to it anew where it is on the network."""
        state = ""
        for attempt in range(CONNECT_TRIES):
            if attempt:
                time.sleep(CONNECT_PAUSE_S)
            state = dict(self._listed()).get(self._serial, "")
            if state == "device":
                return
            if ":" in self._serial:
                if state:
                    self._call("disconnect", self._serial)
                self._call("connect", self._serial)
        what = f"adb says {state!r}" if state else "adb does not know it"
        fix = "allow USB debugging on its screen" if state == "unauthorized" else "check the cable, or: adb connect"
        raise unreachable(what, self.address.name, fix)

    def shell(self, script: str, timeout_s: float, stdin: Path | None = None) -> Completed:
        command = [self._adb, "-s", self._serial, "shell", "-T", script]
        return run_process(command, timeout_s, where=self.address.name, stdin=stdin)

    def send(self, source: Path, name: str) -> None:
        check(self.ask(self.before(name)), self.address.name)
        self._transfer("push", str(source), f"{self._absolute()}/{name}.part")
        check(self.ask(f"{self.cd()} && {self.after(name)}"), self.address.name)

    def fetch(self, name: str, target: Path, limit_bytes: int) -> None:
        size = check(self.ask(f"{self.cd()} && wc -c < {name}"), self.address.name).stdout.strip()
        if not size.isdigit() or int(size) > limit_bytes:
            raise untrusted(f"{name} is larger than {limit_bytes:,} bytes", self.address.name)
        self._transfer("pull", f"{self._absolute()}/{name}", str(target))
        if target.stat().st_size > limit_bytes:
            target.unlink()
            raise untrusted(f"{name} grew beyond {limit_bytes:,} bytes", self.address.name)

    def _absolute(self) -> str:
        if not self.folder.startswith("/"):
            raise EdgekitError(
                "EK106", what=f"folder = {self.folder!r} is relative", where=self.address.name, fix="start it with /"
            )
        return self.folder

    def _transfer(self, *words: str) -> None:
        try:
            done = run_process([self._adb, "-s", self._serial, *words], TRANSFER_TIMEOUT_S, where=self.address.name)
        except Expired as error:
            raise expired(TRANSFER_TIMEOUT_S, self.address.name) from error
        if done.exit_code == 0:
            return
        said = Completed(done.exit_code, b"", done.stdout + done.stderr)  # it complains on either
        text = said.stderr.decode("utf-8", "replace")
        code = code_for(text, 0)
        if code == "EK610" and any(sign in text.lower() for sign in _GONE):
            raise lost(said.message, self.address.name)
        raise failure(code, said.message, self.address.name)

    def _call(self, *words: str) -> None:
        with suppress(Expired):
            run_process([self._adb, *words], SHORT_TIMEOUT_S, where=self.address.name)


def listed(adb: str, where: str) -> list[tuple[str, str]]:
    """(serial, state) of every phone that adb knows; starts adb's server where none runs."""
    try:
        done = run_process([adb, "devices"], SHORT_TIMEOUT_S, where=where)
    except Expired as error:
        raise unreachable("adb does not answer", where, "try: adb kill-server") from error
    lines = done.stdout.decode("utf-8", "replace").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return [(row[0], row[1].strip()) for row in rows if len(row) == 2 and _SERIAL.fullmatch(row[0])]


def discover() -> Sequence[str]:
    """The phones that are connected."""
    adb = shutil.which("adb")
    try:
        return [f"adb:{serial}" for serial, _ in listed(adb, "adb")] if adb else []
    except EdgekitError:
        return []


drivers.add("adb", Driver("adb[:SERIAL]", "an Android phone, through the system's adb", AdbDevice, discover), __name__)
