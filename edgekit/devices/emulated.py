"""`emulated:CORE`: an ARM core in qemu's user mode. Results are exact; times mean nothing.

No root file system is needed: a program brings its own loader and libraries. Only one thread is deterministic.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from edgekit.devices.cores import CORES, CORES_PER_DEVICE, PROFILES, Core, write_tree
from edgekit.devices.device import Address, Completed, DeviceInfo, Driver, RunnerKind, drivers, missing_tool
from edgekit.devices.local import HostFolder
from edgekit.environment import cache_dir
from edgekit.errors import EdgekitError, did_you_mean

QEMU = "qemu-aarch64"
PASSED_ON = ("PATH", "TMPDIR", "TERM")
"""Environment variables that the guest gets; a host's OPENBLAS_CORETYPE or LD_PRELOAD would break it."""


class EmulatedDevice(HostFolder):
    """Four cores of one kind."""

    def __init__(self, address: Address) -> None:
        self.core = find_core(address)
        self._qemu = shutil.which(QEMU)
        if self._qemu is None:
            raise missing_tool(QEMU, "qemu-user", address.name)
        base = cache_dir() / "devices" / "emulated"
        super().__init__(address, Path(address.folder) if address.folder else base / "files")
        self._tree = base.absolute() / f"{self.core.name}-{os.getpid()}"

    @property
    def runner(self) -> RunnerKind:
        return self.address.runner or "c"

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        return self.run_with((), argv, timeout_s)

    def run_with(self, options: Sequence[str], argv: Sequence[str], timeout_s: float) -> Completed:
        """Run a program of the device with further options of qemu, for example a plugin."""
        if not self._tree.exists():
            write_tree(self.core, self._tree)
        memory = [] if self.address.memory_mb is None else ["-R", f"{self.address.memory_mb}M"]
        clean = ["/usr/bin/env", "-i", *(f"{key}={os.environ[key]}" for key in PASSED_ON if key in os.environ)]
        emulator = [
            str(self._qemu),
            "-L",
            str(self._tree),
            "-cpu",
            self.core.instead or self.core.name,
            *memory,
            *options,
        ]
        return self.start([*clean, *emulator, *argv], timeout_s)

    def info(self) -> DeviceInfo:
        profile = self.address.rest if self.address.rest in PROFILES else "any board"
        return DeviceInfo(
            name=self.address.name,
            uri=self.address.uri,
            arch="aarch64",
            cpu=f"{self.core.name} ({profile}, emulated)",
            cores=CORES_PER_DEVICE,
            features=tuple(sorted(self.core.features.split())),
            os="Linux programs in qemu",
            emulated=True,
        )

    def close(self) -> None:
        shutil.rmtree(self._tree, ignore_errors=True)


def find_core(address: Address) -> Core:
    """The core of `cortex-a76` or of a profile; EK101 with the nearest names."""
    name = PROFILES.get(address.rest, address.rest)
    if name not in CORES:
        known = [*CORES, *PROFILES]
        fix = did_you_mean(name, known, f"choose one of {', '.join(known)}")
        raise EdgekitError("EK101", what=f"unknown core {address.rest!r}", where=address.name, fix=fix)
    return CORES[name]


def discover() -> list[str]:
    """The emulated devices, where the emulator is installed."""
    return [f"emulated:{name}" for name in CORES] if shutil.which(QEMU) else []


drivers.add(
    "emulated",
    Driver(
        f"emulated:{'|'.join([*CORES, *PROFILES])}",
        "an ARM core in qemu: exact outputs, no times",
        EmulatedDevice,
        discover,
        exclusive=False,
    ),
    __name__,
)
