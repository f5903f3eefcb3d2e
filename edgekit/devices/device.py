"""What a device is: the types between drivers and what uses them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from edgekit.errors import EdgekitError
from edgekit.printable import printable as harmless
from edgekit.registry import Registry

RunnerKind = Literal["c", "python"]

STDOUT_LIMIT_BYTES = 32 << 20
"""More than any runner prints: a million timings."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What a device says about itself; None where it does not say.

    Args:
        arch: as `uname -m` prints it ("aarch64", "x86_64").
        features: the kernel's own names ("asimddp" is the dot product, "fphp" float16, "i8mm").
        temperatures_c: sensor name -> degrees Celsius.
        governors: the frequency governors in use, each once.
        emulated: whether times mean nothing.
    """

    name: str
    uri: str
    arch: str
    cpu: str
    cores: int
    features: tuple[str, ...] = ()
    ram_bytes: int | None = None
    os: str = ""
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    governors: tuple[str, ...] = ()
    emulated: bool = False

    @property
    def dot_product(self) -> bool:
        return "asimddp" in self.features

    @property
    def fp16(self) -> bool:
        return "asimdhp" in self.features

    @property
    def i8mm(self) -> bool:
        return "i8mm" in self.features


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended on a device. Its output is what the device sent: not to be trusted."""

    exit_code: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    wall_s: float = 0.0

    @property
    def message(self) -> str:
        """The last line of stderr that says something, printable and short."""
        lines = [line.strip() for line in self.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        return printable(lines[-1] if lines else f"exit code {self.exit_code}")


def printable(text: str, limit: int = 300) -> str:
    """Text from a device without control characters: it may end in a terminal."""
    return harmless(text[:limit])


@dataclass(frozen=True, slots=True)
class Address:
    """A device as the user named it, with what devices.toml says about it.

    Args:
        name: in the user's words: a name from devices.toml, or the URI itself.
        scheme, rest: of the URI: "ssh", "pi@board:22".
        runner: which runner to use there; None: what the driver prefers.
        python: the Python of the device, for the Python runner.
        folder: where edgekit keeps its files there; None: the driver's own choice.
        packages: requirements for the Python of an emulated device, for example "tflite-runtime==2.14.0".
        memory_mb: address space of an emulated device's programs; None: no limit.
    """

    name: str
    uri: str
    scheme: str
    rest: str
    runner: RunnerKind | None = None
    python: str = "python3"
    folder: str | None = None
    packages: tuple[str, ...] = ()
    memory_mb: int | None = None


class Device(Protocol):
    """A place where programs run. Names are relative to a folder of edgekit's own there, and so is a program's cwd.

    Every method raises EK6xx. `push`, `pull`, `info` and `exists` are tried again once when a connection was lost;
    `run` never is.
    """

    @property
    def address(self) -> Address: ...

    @property
    def runner(self) -> RunnerKind:
        """The runner that this device is given."""
        ...

    def info(self) -> DeviceInfo: ...

    def push(self, source: Path, name: str) -> None:
        """Put a file or a folder there under `name`: whole, or not at all. A folder that exists is left as it is."""
        ...

    def pull(self, name: str, target: Path, limit_bytes: int) -> None:
        """Fetch a file; EK608 when it is larger than `limit_bytes`."""
        ...

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """Run a program to its end, whatever its exit code; EK603 after `timeout_s`, and then it is gone."""
        ...

    def exists(self, name: str) -> bool: ...

    def remove(self, name: str) -> None:
        """Delete a file or folder, if it is there."""
        ...

    def close(self) -> None:
        """Give the connection back. What was pushed stays."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Driver:
    """How devices of one scheme are opened.

    Args:
        form: the URI with its parts in capitals, for help texts.
        open: `open(address) -> Device`; reaches for the device and raises EK601 or EK609.
        discover: URIs of devices that are there without being configured.
        exclusive: whether two edgekit processes would disturb each other there.
    """

    form: str
    summary: str
    open: Callable[[Address], Device] = field(repr=False)
    discover: Callable[[], Sequence[str]] = field(default=tuple, repr=False)
    exclusive: bool = True


drivers: Registry[Driver] = Registry("device", "edgekit.devices")


def safe_name(name: str) -> str:
    """`name` when it is one that edgekit made: letters, digits, `._-` and single slashes; ValueError otherwise.

    File names of the user never reach a device, so this can only be a mistake in edgekit.
    """
    if not _SAFE_NAME.fullmatch(name) or ".." in name:
        raise ValueError(f"{name!r} is not a name for a file on a device")
    return name


def missing_tool(tool: str, package: str, where: str) -> EdgekitError:
    """EK609: a program of this host is needed and absent."""
    return EdgekitError(
        "EK609", what=f"{tool} is not installed on this host", where=where, fix=f"apt-get install {package}"
    )
