"""Runs one model file on a device and prints one JSON document: the standard library, numpy and a runtime.

    python3 runner.py --runtime session.py --model m.tflite --sha256 HEX --inputs in.raw --outputs out.raw --runs 50

It is copied to boards whose Python may be old, so it imports nothing of edgekit and works from Python 3.9 on; beside it
goes the one file that knows the runtime, targets/<name>/session.py. The C runner (runner_c/), which calls its runtimes
by name, takes the same options and prints the same document, which docs/devices.md describes.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib.util
import json
import os
import platform
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

FORMAT, FAILED = 2, 3
MAX_RUNS, MAX_OUTPUTS = 1000000, 64
MARK = 0x45444700
Tensor = tuple[str, Any, list[int]]
"""Name, dtype as numpy takes it, shape."""


class Failure(Exception):
    """`kind` is one of usage, hash, io, memory, library, model, run."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Session(Protocol):
    """A model file, loaded: what the class `Session` of a runtime's file has.

    `Session(model, threads)` raises ImportError where its package cannot be used, anything else where the package
    refuses the file.
    """

    name: str
    """Of the package that runs it, with its version."""
    version: str
    input: Tensor
    outputs: list[Tensor]

    def write_input(self, data: bytes) -> None:
        """Take one image as the file stores it."""

    def prepare(self) -> Callable[[], Any]:
        """What a timed run calls."""

    def read_outputs(self) -> list[bytes]:
        """Of the last run, each as the file stores it."""

    def delegation(self) -> tuple[str, int | None, int | None]:
        """Delegate, its partitions, nodes outside of them; None where the runtime does not say."""


def open_session(options: argparse.Namespace) -> Session:
    """The model file, loaded by the runtime's own class."""
    sys.dont_write_bytecode = True  # the folder on the device has the hash of what was put there, and nothing else
    try:
        spec = importlib.util.spec_from_file_location("session", options.runtime)
        if spec is None or spec.loader is None:
            raise Failure("usage", f"{options.runtime} is no Python file")
        module = sys.modules["session"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.Session(options.model, options.threads)  # type: ignore[no-any-return]
    except (Failure, MemoryError):
        raise
    except ImportError as error:
        raise Failure("library", str(error)) from error
    except Exception as error:  # the exceptions of runtimes have no common base, and what they are differs by version
        raise Failure("model", str(error)) from error


def described(tensor: Tensor) -> dict[str, Any]:
    import numpy as np

    name, dtype, shape = tensor
    size = np.dtype(dtype).itemsize
    for length in shape:
        if not isinstance(length, int) or length <= 0:
            raise Failure("model", "a dimension of an input or output is not fixed")
        size *= length
    return {"name": name, "dtype": np.dtype(dtype).name, "shape": shape, "size_bytes": size}


def read_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Failure("io", f"{path}: {error.strerror}") from error


def write_file(path: str, data: bytes) -> None:
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise Failure("io", f"{path}: {error.strerror}") from error


def _number(path: str) -> int | None:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def sensors() -> tuple[dict[str, float], list[int]]:
    """(sensor -> degrees Celsius, kHz of each core)."""
    temperatures, frequencies = {}, []
    for zone in range(16):
        folder = f"/sys/class/thermal/thermal_zone{zone}/"
        milli = _number(folder + "temp")
        if milli is not None:
            try:
                with open(folder + "type") as file:
                    name = re.sub(r"[^\w.-]", "?", file.read().strip())[:60]
            except OSError:
                name = "zone"
            temperatures[f"{name}#{zone}"] = milli / 1000.0
    for cpu in range(64):
        khz = _number(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq")
        if khz is not None:
            frequencies.append(khz)
    return temperatures, frequencies


def parse(words: list[str]) -> argparse.Namespace:
    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> Any:
            raise Failure("usage", message)

    parser = Parser(description="edgekit's runner")
    for name in ("runtime", "model", "sha256", "inputs", "outputs"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--warmup", type=int, default=0)
    parser.add_argument("--min-time-s", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-mask", type=lambda text: int(text, 16), default=0)
    parser.add_argument("--timeout-s", type=int, default=600)
    parser.add_argument("--mark", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args(words)
    if not 0 <= options.runs <= MAX_RUNS or options.warmup < 0 or options.threads < 1 or options.timeout_s < 1:
        raise Failure("usage", "a count is out of range")
    if options.profile:
        raise Failure("usage", "this runner has no profiler, the C runner does")
    return options


def set_affinity(mask: int) -> None:
    cpus = [cpu for cpu in range(64) if mask >> cpu & 1]
    try:
        os.sched_setaffinity(0, cpus)
    except (AttributeError, OSError, ValueError) as error:
        raise Failure("usage", f"cpu mask {mask:x}: {error}") from error


def run_images(session: Session, options: argparse.Namespace) -> dict[str, Any]:
    """Every image once, in order; the first run is the cold one."""
    inputs = read_file(options.inputs)
    source, results = described(session.input), [described(output) for output in session.outputs]
    if not 1 <= len(results) <= MAX_OUTPUTS:
        raise Failure("model", f"{len(results)} outputs, 1 to {MAX_OUTPUTS} can be read")
    invoke, clock, size = session.prepare(), time.perf_counter_ns, source["size_bytes"]
    if not inputs or len(inputs) % size:
        raise Failure("usage", f"{len(inputs)} bytes of inputs are no multiple of {size}")
    images: list[bytes] = []  # of each, all outputs back to back
    first_ms = 0.0
    for start in range(0, len(inputs), size):
        session.write_input(inputs[start : start + size])
        begun = clock()
        invoke()
        if not images:
            first_ms = (clock() - begun) / 1e6
        images.append(b"".join(session.read_outputs()))
    session.write_input(inputs[:size])
    data = b"".join(images)
    write_file(options.outputs, data)
    return {
        "input": source,
        "outputs": results,
        "images": len(images),
        "outputs_bytes": len(data),
        "outputs_sha256": hashlib.sha256(data).hexdigest(),
        "first_ms": first_ms,
    }


def time_runs(invoke: Callable[[], Any], options: argparse.Namespace) -> list[float]:
    """At least --runs runs and --min-time-s seconds; milliseconds of each."""
    clock = time.perf_counter_ns
    spent: list[float] = []
    mark = ctypes.CDLL(None).getpgid if options.mark else None
    for _ in range(options.warmup):
        invoke()
    room = MAX_RUNS if options.min_time_s > 0 else options.runs
    start = clock()
    while len(spent) < room:
        if len(spent) >= options.runs and clock() - start >= options.min_time_s * 1e9:
            break
        if mark:
            mark(MARK + (len(spent) & 255))  # the instruction counter of the emulated device takes a snapshot here
        begun = clock()
        invoke()
        spent.append((clock() - begun) / 1e6)
    if mark:
        mark(MARK + (len(spent) & 255))
    return spent


def measure(words: list[str]) -> dict[str, Any]:
    options = parse(words)
    if hasattr(signal, "alarm"):
        signal.alarm(options.timeout_s)  # whoever started us may be gone: nothing stays on the device
    if options.cpu_mask:
        set_affinity(options.cpu_mask)
    wall, monotonic, before = time.time(), time.monotonic(), sensors()
    digest = hashlib.sha256(read_file(options.model)).hexdigest()
    if digest != options.sha256:
        raise Failure("hash", f"{options.model} has sha256 {digest}")
    start = time.perf_counter_ns()
    session = open_session(options)
    load_ms = (time.perf_counter_ns() - start) / 1e6
    document = run_images(session, options)
    runs_ms = time_runs(session.prepare(), options)
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    after = sensors()
    delegate, partitions, undelegated = session.delegation()
    document.update(
        format=FORMAT,
        runner="python",
        runtime=session.name,
        runtime_version=session.version,
        machine=platform.machine(),
        delegate=delegate,
        partitions=partitions,
        undelegated=undelegated,
        model_sha256=digest,
        threads=options.threads,
        cpu_mask=f"{options.cpu_mask:x}",
        warmup=options.warmup,
        load_ms=load_ms,
        runs_ms=runs_ms,
        peak_rss_kb=peak_rss // 1024 if sys.platform == "darwin" else peak_rss,
        wall_s=time.time() - wall,
        monotonic_s=time.monotonic() - monotonic,
        temperature_c={"before": before[0], "after": after[0]},
        frequency_khz={"before": before[1], "after": after[1]},
    )
    return document


def main(words: list[str]) -> int:
    try:
        document, code = measure(words), 0
    except Failure as failure:
        document, code = {"format": FORMAT, "error": {"kind": failure.kind, "message": str(failure)}}, FAILED
    except MemoryError:
        document, code = {"format": FORMAT, "error": {"kind": "memory", "message": "out of memory"}}, FAILED
    print(json.dumps(document), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
