"""Exact instruction counts per inference on an emulated core: a latency gate without noise.

An index, never milliseconds. Five processes agree to 1e-5 whatever else the host does, so a gate of 0.2 % is possible;
one thread only.
"""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from edgekit.devices.device import Address, Completed, Device
from edgekit.devices.emulated import QEMU, EmulatedDevice
from edgekit.devices.result import RunnerResult
from edgekit.devices.run_model import RunRequest, run_model
from edgekit.devices.toolchain import writing
from edgekit.environment import cache_dir
from edgekit.errors import EdgekitError

MAX_REGRESSION = 0.002
REPEATABLE = 1e-5
"""How far the counts of equal inferences may lie apart; the rest is the clock's and the allocator's."""

RUNS, WARMUP = 3, 1
CLASSES = ("load_store", "simd", "dot_product", "branch", "other")
NEWEST_QEMU = 8
"""Major version; with 9 the plugins' interface became another."""

COMPILE_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions of one inference: the median of RUNS equal ones.

    Args:
        classes: load_store, simd (scalar floating point included), dot_product (SDOT, UDOT), branch, other.
        spread: largest relative deviation between the inferences.
    """

    instructions: int
    classes: Mapping[str, int]
    spread: float

    def share(self, name: str) -> float:
        return self.classes[name] / self.instructions


class CountingDevice(EmulatedDevice):
    """The emulated device with the counter in it."""

    def __init__(self, address: Address, plugin: Path, out: Path) -> None:
        super().__init__(address)
        self._options = ("-plugin", f"{_escaped(plugin)},out={_escaped(out)}")

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        return self.run_with(self._options, argv, timeout_s)


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")  # qemu's rule for values


def count_instructions(device: Device, request: RunRequest) -> tuple[RunnerResult, Counts]:
    """Instructions of one inference of the request's first image.

    Raises:
        EdgekitError: EK106 for a device that is not emulated, EK611 when counting fails or does not repeat.
    """
    where = device.address.name
    if not isinstance(device, EmulatedDevice):
        raise EdgekitError(
            "EK106",
            what="instructions are counted on an emulated device only",
            where=where,
            fix="choose --device emulated:cortex-a76, or --metric latency",
        )
    marked = replace(request, runs=RUNS, warmup=WARMUP, min_time_s=0.0, threads=1, mark=True)
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        out = Path(folder) / "counts"
        with CountingDevice(device.address, build_counter(), out) as counting:
            result, _ = run_model(counting, marked)
        text = out.read_text(encoding="ascii") if out.exists() else ""
    return result, read_counts(text, where)


def read_counts(text: str, where: str) -> Counts:
    """Counts of one inference from what the counter wrote; EK611 when it is incomplete or does not repeat."""
    try:
        marks = [json.loads(line) for line in text.splitlines()]
        steps = [{name: b[name] - a[name] for name in CLASSES} for a, b in pairwise(marks)]
    except (ValueError, KeyError, TypeError) as error:
        raise _failed(f"the counter wrote something else: {error}", where) from error
    if len(steps) != RUNS:
        raise _failed(f"{len(marks)} marks instead of {RUNS + 1}", where)
    steps.sort(key=lambda step: sum(step.values()))
    totals = [sum(step.values()) for step in steps]
    middle = steps[RUNS // 2]
    counts = Counts(totals[RUNS // 2], middle, (totals[-1] - totals[0]) / totals[0] if totals[0] else 1.0)
    if counts.spread > REPEATABLE:
        raise _failed(f"equal inferences differ by {counts.spread:.1e}: {totals}", where)
    return counts


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
        raise _failed(f"qemu {version} has another interface for plugins; qemu up to {NEWEST_QEMU}.x is known", QEMU)


def qemu_version() -> str:
    """The emulator's version, EK611 when it does not say."""
    done = subprocess.run([QEMU, "--version"], capture_output=True, text=True, timeout=20, check=False)
    found = re.search(r"version (\d+(?:\.\d+)*)", done.stdout)
    if not found:
        raise _failed("it does not say its version", QEMU)
    return found[1]


def _failed(what: str, where: str) -> EdgekitError:
    return EdgekitError(
        "EK611",
        what=f"instructions cannot be counted: {what}",
        where=where,
        fix=f"apt-get install qemu-user, of a version from 5 to {NEWEST_QEMU}; or --metric latency on a real device",
    )
