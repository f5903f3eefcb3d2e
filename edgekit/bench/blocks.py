"""How often an emulated core runs each block of instructions during an inference: what every exact figure is made of.

A block is what qemu translates at once: it ends at a jump, or where a page of memory does. The counts of two equal
inferences agree to 1e-5 whatever else the host does; one thread only.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from edgekit.devices.device import Address, Completed, Device
from edgekit.devices.emulated import QEMU, EmulatedDevice
from edgekit.devices.result import RunnerResult
from edgekit.devices.run_model import RunRequest, run_model
from edgekit.devices.toolchain import writing
from edgekit.environment import cache_dir
from edgekit.errors import EdgekitError

RUNS, WARMUP = 3, 1
NEWEST_QEMU = 8
"""Major version; with 9 the plugins' interface became another."""

COMPILE_TIMEOUT_S = 120
WORD_BYTES = 4

Words = tuple[int, ...]
"""The instructions of a block, as A64 encodes them."""


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions that run one after the other, and where they lie in the guest's memory."""

    address: int
    words: Words

    @property
    def end(self) -> int:
        return self.address + WORD_BYTES * len(self.words)


@dataclass(frozen=True, slots=True)
class Ran:
    """What a block did in a span of time.

    Args:
        misses: how often each cache, the nearest first, did not have what it read or wrote; () without caches.
    """

    runs: int
    misses: tuple[int, ...] = ()


Span = Mapping[int, Ran]
"""Index of a block -> what it did."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The blocks of equal inferences.

    Args:
        inferences: of each inference its spans: one, or several where the guest read its clock in between.
    """

    blocks: Mapping[int, Block]
    inferences: tuple[tuple[Span, ...], ...]

    def instructions(self, spans: Iterable[Span]) -> int:
        return sum(len(self.blocks[index].words) * ran.runs for span in spans for index, ran in span.items())


@dataclass(frozen=True, slots=True)
class Cache:
    """A cache with lines of 64 bytes."""

    size_bytes: int
    ways: int


class CountingDevice(EmulatedDevice):
    """The emulated device with the counter in it."""

    def __init__(self, address: Address, options: str) -> None:
        super().__init__(address)
        self._options = ("-plugin", options)

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        return self.run_with(self._options, argv, timeout_s)


def count_blocks(
    device: Device,
    request: RunRequest,
    caches: Sequence[Cache] = (),
    *,
    split: bool = False,
    what: str = "instructions",
) -> tuple[RunnerResult, Counted]:
    """Run the request's first image RUNS times and count.

    Args:
        caches: the core's, the nearest first: what they miss is counted too.
        split: also where the guest reads its clock during an inference; the runner's profiler then runs along.
        what: is counted, for messages.

    Raises:
        EdgekitError: EK106 for a device that is not emulated, EK609, EK611 when counting fails, EK60x.
    """
    where = device.address.name
    if not isinstance(device, EmulatedDevice):
        raise EdgekitError(
            "EK106",
            what=f"{what} are counted on an emulated device only",
            where=where,
            fix="choose --device emulated:cortex-a76, or --metric latency",
        )
    marked = replace(request, runs=RUNS, warmup=WARMUP, min_time_s=0.0, threads=1, mark=True, profile=split)
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        out = Path(folder) / "counts"
        with CountingDevice(device.address, _options(build_counter(), out, caches, split)) as counting:
            result, _ = run_model(counting, marked)
        text = out.read_text(encoding="ascii") if out.exists() else ""
    return result, read_counted(text, where)


def _options(plugin: Path, out: Path, caches: Sequence[Cache], split: bool) -> str:
    named = {"out": str(out)}
    if caches:
        named["caches"] = "+".join(f"{cache.size_bytes}/{cache.ways}" for cache in caches)
    if split:
        named["timer"] = "on"
    values = [str(plugin), *(f"{key}={value}" for key, value in named.items())]
    return ",".join(value.replace(",", ",,") for value in values)  # qemu's rule for values


def read_counted(text: str, where: str) -> Counted:
    """What the counter wrote; EK611 when it is incomplete."""
    blocks: dict[int, Block] = {}
    spans: list[Span] = []
    inferences: list[tuple[Span, ...]] = []
    begun = False
    lines = text.splitlines(keepends=True)
    try:
        for line in lines:
            if not line.endswith("\n"):
                break  # the guest ended without notice, long after the last mark
            kind, *fields = line.split()
            if kind == "B":
                blocks[int(fields[0])] = Block(int(fields[1], 16), tuple(int(word, 16) for word in fields[2:]))
                continue
            spans.append(_read_span(fields[1:] if kind == "M" else fields))
            if kind == "M":
                inferences += [tuple(spans)] if begun else []
                begun, spans = True, []
    except (ValueError, IndexError) as error:
        raise failed(f"the counter wrote something else: {error}", where) from error
    if len(inferences) != RUNS or not all(map(any, inferences)):
        raise failed(f"{len(inferences)} counted inferences instead of {RUNS}", where)
    return Counted(blocks, tuple(inferences))


def _read_span(fields: Iterable[str]) -> Span:
    span = {}
    for field in fields:
        index, runs, *misses = map(int, field.split(":"))
        span[index] = Ran(runs, tuple(misses))
    return span


def build_counter() -> Path:
    """The plugin, compiled where the cache does not have it; EK609 without a compiler, EK611 with another qemu."""
    _check_qemu()
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise EdgekitError("EK609", what="no C compiler on this host", where="cc", fix="apt-get install gcc")
    source = (files("edgekit.bench") / "counter.c").read_bytes()
    folder = cache_dir().absolute() / "counter" / hashlib.sha256(source).hexdigest()[:12]
    if not folder.is_dir():
        with writing(folder) as beside:
            (beside / "counter.c").write_bytes(source)
            command = [compiler, "-std=gnu11", "-O2", "-shared", "-fPIC", "-o", "counter.so", "counter.c"]
            done = subprocess.run(
                command, cwd=beside, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False
            )
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["no reason"])[0]
                raise EdgekitError(
                    "EK609", what=f"the compiler failed: {reason}", where=compiler, fix="apt-get install gcc libc6-dev"
                )
    return folder / "counter.so"


def _check_qemu() -> None:
    version = qemu_version()
    if int(version.partition(".")[0]) > NEWEST_QEMU:
        raise failed(f"qemu {version} has another interface for plugins; qemu up to {NEWEST_QEMU}.x is known", QEMU)


def qemu_version() -> str:
    """The emulator's version, EK611 when it does not say."""
    done = subprocess.run([QEMU, "--version"], capture_output=True, text=True, timeout=20, check=False)
    found = re.search(r"version (\d+(?:\.\d+)*)", done.stdout)
    if not found:
        raise failed("it does not say its version", QEMU)
    return found[1]


def failed(what: str, where: str) -> EdgekitError:
    """EK611."""
    return EdgekitError(
        "EK611",
        what=f"instructions cannot be counted: {what}",
        where=where,
        fix=f"apt-get install qemu-user, of a version from 5 to {NEWEST_QEMU}; or --metric latency on a real device",
    )
