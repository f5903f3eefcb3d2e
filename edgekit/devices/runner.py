"""Runs one model file on a device and prints one JSON document. One file: the standard library, numpy and a runtime.

    python3 runner.py --runtime tflite --model m.tflite --sha256 HEX --inputs in.raw --outputs out.raw --runs 50

It is copied to boards whose Python may be old, so it imports nothing of edgekit and works from Python 3.9 on. The C
runner (runner_c/) takes the same options and prints the same document, which docs/devices.md describes.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib
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
from typing import Any

FORMAT, FAILED = 2, 3
MAX_RUNS, MAX_OUTPUTS = 1000000, 64
MARK = 0x45444700
TFLITE = (("litert", "ai_edge_litert"), ("tflite-runtime", "tflite_runtime"))


class Failure(Exception):
    """`kind` is one of usage, hash, io, memory, library, model, run."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class TFLite:
    """ai-edge-litert, or tflite-runtime where only that is installed."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.name, package = _first_installed()
        try:
            module = importlib.import_module(package + ".interpreter")
        except ImportError as error:  # installed, and made for another Python or numpy
            raise Failure("library", f"{package}: {error}") from error
        self.version = _version_of(package)
        try:
            self.interpreter = module.Interpreter(options.model, num_threads=options.threads)
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise Failure("model", str(error)) from error
        self.source = self.interpreter.get_input_details()[0]
        self.results = self.interpreter.get_output_details()

    def input(self) -> dict[str, Any]:
        return self._described(self.source)

    def outputs(self) -> list[dict[str, Any]]:
        return [self._described(result) for result in self.results]

    @staticmethod
    def _described(detail: dict[str, Any]) -> dict[str, Any]:
        return _tensor(detail["name"], detail["dtype"], [int(n) for n in detail["shape"]])

    def write_input(self, data: bytes) -> None:
        import numpy as np

        array = np.frombuffer(data, self.source["dtype"]).reshape(self.source["shape"])
        self.interpreter.set_tensor(self.source["index"], array)

    def prepare(self) -> Callable[[], Any]:
        """What a timed run calls."""
        return self.interpreter.invoke  # type: ignore[no-any-return]

    def read_outputs(self) -> list[bytes]:
        return [self.interpreter.get_tensor(result["index"]).tobytes() for result in self.results]

    def delegation(self) -> tuple[str, int | None, int | None]:
        """Delegate, partitions, nodes outside: read from the plan, as edgekit does on the host."""
        try:
            operators = self.interpreter._get_ops_details()
        except AttributeError:
            return "unknown", None, None
        partitions = [op for op in operators if op["op_name"] == "DELEGATE"]
        own = [op for op in operators if op["op_name"] != "DELEGATE"]
        if not partitions:
            return "none", 0, len(own)
        return "XNNPACK", len(partitions), len(own) - _count_inside(own, partitions)


class OnnxRuntime:
    """onnxruntime on the CPU."""

    def __init__(self, options: argparse.Namespace) -> None:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            ort = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise Failure("library", f"onnxruntime: {error}") from error
        self.name, self.version = "onnxruntime", str(ort.__version__)
        choices = ort.SessionOptions()
        choices.intra_op_num_threads = options.threads
        choices.log_severity_level = 3
        # x86-64 without VNNI saturates by default; with it, the exact kernels take twice as long for the same bits.
        if not has_vnni():
            choices.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self.session = ort.InferenceSession(options.model, choices, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common base, and what they are differs by version
            raise Failure("model", str(error)) from error
        self.source, self.results = self.session.get_inputs()[0], self.session.get_outputs()
        self.feed: dict[str, Any] = {}
        self.last: Any = None

    def input(self) -> dict[str, Any]:
        return self._described(self.source)

    def outputs(self) -> list[dict[str, Any]]:
        return [self._described(result) for result in self.results]

    @staticmethod
    def _described(value: Any) -> dict[str, Any]:
        return _tensor(value.name, _numpy_type(value.type), list(value.shape))

    def write_input(self, data: bytes) -> None:
        import numpy as np

        self.feed = {self.source.name: np.frombuffer(data, _numpy_type(self.source.type)).reshape(self.source.shape)}

    def prepare(self) -> Callable[[], Any]:
        run, names = self.session.run, [result.name for result in self.results]

        def invoke() -> None:
            self.last = run(names, self.feed)

        return invoke

    def read_outputs(self) -> list[bytes]:
        return [array.tobytes() for array in self.last]

    def delegation(self) -> tuple[str, int | None, int | None]:
        return "CPUExecutionProvider", None, None


RUNTIMES: dict[str, Any] = {"tflite": TFLite, "onnxruntime": OnnxRuntime}


def has_vnni() -> bool:
    try:
        with open("/proc/cpuinfo") as file:
            return not {"avx512_vnni", "avx_vnni"}.isdisjoint(file.read().split())
    except OSError:
        return False


def _first_installed() -> tuple[str, str]:
    for name, package in TFLITE:
        if importlib.util.find_spec(package) is not None:
            return name, package
    raise Failure("library", "neither ai-edge-litert nor tflite-runtime is installed")


def _version_of(package: str) -> str:
    module = importlib.import_module(package)
    if getattr(module, "__version__", None):
        return str(module.__version__)
    try:
        from importlib.metadata import version

        return version(package.replace("_", "-"))
    except ModuleNotFoundError:  # PackageNotFoundError is one: a copied package has no metadata
        return ""


def _count_inside(own: list[dict[str, Any]], partitions: list[dict[str, Any]]) -> int:
    """How many nodes lie in partitions: walk back from each one's outputs to its inputs."""
    producer = {int(out): op for op in own for out in op["outputs"]}
    inside = set()
    for partition in partitions:
        border = {int(t) for t in partition["inputs"]}
        frontier = [int(t) for t in partition["outputs"]]
        while frontier:
            tensor = frontier.pop()
            op = producer.get(tensor)
            if op is not None and op["index"] not in inside and tensor not in border:
                inside.add(op["index"])
                frontier += [int(t) for t in op["inputs"]]
    return len(inside)


def _numpy_type(name: str) -> str:
    return {"float": "float32", "double": "float64"}.get(name[7:-1], name[7:-1])  # tensor(float)


def _tensor(name: str, dtype: Any, shape: list[int]) -> dict[str, Any]:
    import numpy as np

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
    for name in ("model", "sha256", "inputs", "outputs"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--runtime", required=True, choices=sorted(RUNTIMES))
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--warmup", type=int, default=0)
    parser.add_argument("--min-time-s", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-mask", type=lambda text: int(text, 16), default=0)
    parser.add_argument("--timeout-s", type=int, default=600)
    parser.add_argument("--mark", action="store_true")
    options = parser.parse_args(words)
    if not 0 <= options.runs <= MAX_RUNS or options.warmup < 0 or options.threads < 1 or options.timeout_s < 1:
        raise Failure("usage", "a count is out of range")
    return options


def set_affinity(mask: int) -> None:
    cpus = [cpu for cpu in range(64) if mask >> cpu & 1]
    try:
        os.sched_setaffinity(0, cpus)
    except (AttributeError, OSError, ValueError) as error:
        raise Failure("usage", f"cpu mask {mask:x}: {error}") from error


def run_images(runtime: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Every image once, in order; the first run is the cold one."""
    inputs = read_file(options.inputs)
    source, results = runtime.input(), runtime.outputs()
    if not 1 <= len(results) <= MAX_OUTPUTS:
        raise Failure("model", f"{len(results)} outputs, 1 to {MAX_OUTPUTS} can be read")
    invoke, clock, size = runtime.prepare(), time.perf_counter_ns, source["size_bytes"]
    if not inputs or len(inputs) % size:
        raise Failure("usage", f"{len(inputs)} bytes of inputs are no multiple of {size}")
    images: list[bytes] = []  # of each, all outputs back to back
    first_ms = 0.0
    for start in range(0, len(inputs), size):
        runtime.write_input(inputs[start : start + size])
        begun = clock()
        invoke()
        if not images:
            first_ms = (clock() - begun) / 1e6
        images.append(b"".join(runtime.read_outputs()))
    runtime.write_input(inputs[:size])
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


def time_runs(runtime: Any, options: argparse.Namespace) -> list[float]:
    """At least --runs runs and --min-time-s seconds; milliseconds of each."""
    invoke, clock = runtime.prepare(), time.perf_counter_ns
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
    runtime = RUNTIMES[options.runtime](options)
    load_ms = (time.perf_counter_ns() - start) / 1e6
    document = run_images(runtime, options)
    runs_ms = time_runs(runtime, options)
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    after = sensors()
    delegate, partitions, undelegated = runtime.delegation()
    document.update(
        format=FORMAT,
        runner="python",
        runtime=runtime.name,
        runtime_version=runtime.version,
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
