"""`local`: this host, through the same runner and the same JSON as every other device."""

import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edgekit.devices.device import Address, Completed, DeviceInfo, Driver, RunnerKind, drivers, safe_name
from edgekit.devices.faults import code_for, expired, failure, untrusted
from edgekit.devices.probe import SCRIPT, read_probe
from edgekit.devices.process import Expired, run_process
from edgekit.environment import cache_dir
from edgekit.errors import EdgekitError

PROBE_TIMEOUT_S = 20.0


class HostFolder:
    """A device whose files are a folder of this host."""

    def __init__(self, address: Address, folder: Path) -> None:
        self.address, self.folder = address, folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed(error) from error

    @property
    def runner(self) -> RunnerKind:
        return self.address.runner or "python"

    def push(self, source: Path, name: str) -> None:
        target = self.folder / safe_name(name)
        beside = target.with_name(f"{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                if not target.exists():
                    shutil.rmtree(beside, ignore_errors=True)
                    shutil.copytree(source, beside, symlinks=False)
                    beside.rename(target)
            else:
                shutil.copy(source, beside)
                beside.replace(target)
        except OSError as error:
            raise self._failed(error) from error

    def pull(self, name: str, target: Path, limit_bytes: int) -> None:
        source = self.folder / safe_name(name)
        try:
            if source.stat().st_size > limit_bytes:
                raise untrusted(f"{name} is larger than {limit_bytes:,} bytes", self.address.name)
            shutil.copyfile(source, target)
        except OSError as error:
            raise self._failed(error) from error

    def exists(self, name: str) -> bool:
        return (self.folder / safe_name(name)).exists()

    def remove(self, name: str) -> None:
        path = self.folder / safe_name(name)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """Run a program of this host in the folder."""
        try:
            return run_process(argv, timeout_s, where=self.address.name, cwd=self.folder)
        except Expired as error:
            raise expired(timeout_s, self.address.name) from error
        except OSError as error:
            raise failure("EK606", f"{argv[0]}: {error.strerror}", self.address.name) from error

    def _failed(self, error: OSError) -> EdgekitError:
        message = f"{error.filename or self.folder}: {_reason(error)}"
        return failure(code_for(message, 1), message, self.address.name)


def _reason(error: OSError) -> str:
    """Why a copy failed; copying a folder collects (from, to, why) of each of its files."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        return str(error.args[0][0][2])
    return error.strerror or str(error)


class LocalDevice(HostFolder):
    """This host."""

    def __init__(self, address: Address) -> None:
        super().__init__(address, Path(address.folder) if address.folder else cache_dir() / "devices" / "local")

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        program = sys.executable if argv[0] == "python3" else argv[0]
        return self.start([program, *argv[1:]], timeout_s)

    def info(self) -> DeviceInfo:
        if platform.system() != "Linux":
            return DeviceInfo(self.address.name, "local", platform.machine(), platform.processor() or "unknown", 0)
        done = self.start(["/bin/sh", "-c", SCRIPT], PROBE_TIMEOUT_S)
        return read_probe(done.stdout.decode("utf-8", "replace"), self.address)


drivers.add("local", Driver("local", "this host", LocalDevice, lambda: ["local"], exclusive=False), __name__)
