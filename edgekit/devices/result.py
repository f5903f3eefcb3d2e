"""Reading what a runner printed. A device is not trusted: every field is checked for its type, size and range."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from edgekit.devices.device import Completed, printable
from edgekit.devices.faults import code_for, expired, failure, untrusted
from edgekit.errors import EdgekitError

FORMAT = 2
CLOCK_JUMP_S = 1.0
"""How far wall clock and monotonic clock may drift apart during one program; NTP slews by less."""

MAX_RUNS, MAX_MS, MAX_ITEMS = 1_000_000, 1e9, 256
MAX_EVENTS, MAX_US = 65536, 1 << 62
EVENT_KINDS = ("operator", "delegated", "other")
MAX_OUTPUTS, MAX_NAME, MAX_RANK, MAX_BYTES = 64, 1024, 8, 1 << 40
ITEM_BYTES = {
    **{"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "float16": 2},
    **{"int32": 4, "float32": 4, "int64": 8, "float64": 8},
}
"""Bytes of one element of each dtype that a runner may name."""

ALARM = (142, -14)
"""SIGALRM as a shell and as Python report it: the runner ended itself at its time limit."""

_KINDS = {"memory": "EK607", "library": "EK606"}
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class DeviceTensor:
    """The input or an output of a file, as the runtime on the device sees it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Sensors:
    """Before and after the runs: sensor -> degrees Celsius, and kHz of each core."""

    temperature_before_c: Mapping[str, float]
    temperature_after_c: Mapping[str, float]
    frequency_before_khz: tuple[int, ...]
    frequency_after_khz: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """What the runtime's profiler saw during one run.

    Args:
        kind: "operator" of the runtime itself, "delegated" inside a partition, or "other".
        start_us: 0 where it was not noted.
        node: of an operator its index in the file, of a delegated one its number in the partition.
    """

    name: str
    kind: str
    start_us: int
    elapsed_us: int
    node: int

    @property
    def end_us(self) -> int:
        return self.start_us + self.elapsed_us


@dataclass(frozen=True, slots=True)
class RunnerResult:
    """One run of a runner.

    Args:
        runner: "c" or "python".
        runtime: a name of the runtime's packages, with its version.
        delegate: what computes, in the runtime's own word; "none", or "unknown".
        partitions, undelegated: None where the runtime does not tell.
        outputs: every output, in the order in which they lie back to back for each image.
        outputs_sha256: of the outputs of all images, back to back, as stored.
        load_ms: opening the library and the model; first_ms: the cold inference.
        runs_ms: each timed inference, after `warmup` others.
        events: of the last run, in the order in which they began; () without the profiler.
        clock_jumped: whether the device's wall clock was set meanwhile; times are monotonic and do not suffer.
    """

    runner: str
    runtime: str
    runtime_version: str
    machine: str
    delegate: str
    partitions: int | None
    undelegated: int | None
    model_sha256: str
    input: DeviceTensor
    outputs: tuple[DeviceTensor, ...]
    images: int
    outputs_bytes: int
    outputs_sha256: str
    threads: int
    cpu_mask: str
    warmup: int
    load_ms: float
    first_ms: float
    runs_ms: tuple[float, ...] = field(repr=False)
    peak_rss_kb: int
    sensors: Sensors
    clock_jumped: bool
    events: tuple[Event, ...] = field(repr=False, default=())


def read_result(done: Completed, where: str, timeout_s: float = 0) -> RunnerResult:
    """The runner's result, or the error that it, the shell or the kernel reported.

    Raises:
        EdgekitError: EK603, EK605, EK606, EK607, EK610 as reported; EK608 for anything that is no result.
    """
    lines = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.startswith("{")]
    document = _parse(lines[-1], where) if lines else None
    if document is not None and "error" in document:
        raise _reported(document["error"], where)
    if done.exit_code in ALARM:
        raise expired(timeout_s, where)
    if done.exit_code != 0:
        text = done.stderr.decode("utf-8", "replace")
        raise failure(code_for(text, done.exit_code), done.message, where)
    if document is None:
        raise untrusted("the runner printed no result", where)
    try:
        _check_format(document, where)
        return _result(_Fields(document))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise untrusted(f"the runner's result is not one: {error}", where) from error


def _check_format(document: dict[str, Any], where: str) -> None:
    found = whole(document["format"], "format", 0, MAX_RUNS)
    if found != FORMAT:
        raise untrusted(f"the runner is of another version: format {found}, this edgekit reads {FORMAT}", where)


def split_outputs(result: RunnerResult, data: bytes) -> dict[str, bytes]:
    """What a runner wrote, by output: the tensors of all images back to back, as stored.

    Args:
        data: for each image all outputs back to back; `result.outputs_bytes` of them.
    """
    ends = list(accumulate((tensor.size_bytes for tensor in result.outputs), initial=0))
    starts = range(0, len(data), ends[-1])
    return {
        tensor.name: b"".join(data[start + first : start + last] for start in starts)
        for tensor, (first, last) in zip(result.outputs, pairwise(ends), strict=True)
    }


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise untrusted(f"the runner's result is no JSON: {error}", where) from error
    if not isinstance(document, dict):
        raise untrusted("the runner's result is no JSON object", where)
    return document


def _reported(error: object, where: str) -> EdgekitError:
    kind, message = (str(error.get(key, "")) for key in ("kind", "message")) if isinstance(error, dict) else ("", "")
    if kind == "hash":
        return untrusted(f"the file on the device is not the one that was sent: {message}", where)
    code = _KINDS.get(kind) or code_for(message, 0)
    return failure(code, f"{kind}: {message}", where)


class _Fields:
    """Typed access to untrusted JSON; KeyError, TypeError or ValueError names the field."""

    def __init__(self, document: Any) -> None:
        if not isinstance(document, dict):
            raise TypeError("an object was expected")
        self._document = document

    def text(self, key: str, limit: int = 64) -> str:
        value = self._document[key]
        if not isinstance(value, str) or len(value) > limit:
            raise TypeError(key)
        return printable(value, limit)

    def name(self, key: str) -> str:
        """A tensor's, which must be the contract's: what cannot be shown as it is, is none."""
        value = self.text(key, MAX_NAME)
        if not value or value != self._document[key]:
            raise ValueError(f"{key} = {value!r:.40}")
        return value

    def whole(self, key: str, low: int, high: int) -> int:
        return whole(self._document[key], key, low, high)

    def has(self, key: str) -> bool:
        return key in self._document

    def count(self, key: str) -> int | None:
        return None if self._document[key] is None else self.whole(key, 0, MAX_RUNS)

    def real(self, key: str) -> float:
        return real(self._document[key], key)

    def sha256(self, key: str) -> str:
        if not _SHA256.fullmatch(self.text(key)):
            raise ValueError(key)
        return str(self._document[key])

    def items(self, key: str, limit: int) -> list[Any]:
        value = self._document[key]
        if not isinstance(value, list) or len(value) > limit:
            raise TypeError(key)
        return value

    def inner(self, key: str) -> "_Fields":
        return _Fields(self._document[key])

    def mapping(self, key: str) -> dict[str, float]:
        value = self._document[key]
        if not isinstance(value, dict) or len(value) > MAX_ITEMS:
            raise TypeError(key)
        return {printable(name, 64): real(number, key) for name, number in value.items()}


def whole(value: object, key: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{key} = {value!r:.40}")
    return value


def real(value: object, key: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or abs(value) > MAX_MS:
        raise ValueError(f"{key} = {value!r:.40}")
    return float(value)


def _result(fields: _Fields) -> RunnerResult:
    runs_ms = tuple(real(value, "runs_ms") for value in fields.items("runs_ms", MAX_RUNS))
    if any(value < 0 for value in runs_ms):
        raise ValueError("runs_ms")
    images, outputs = fields.whole("images", 1, MAX_RUNS), _outputs(fields)
    size_bytes = images * sum(tensor.size_bytes for tensor in outputs)
    return RunnerResult(
        runner=fields.text("runner"),
        runtime=fields.text("runtime"),
        runtime_version=fields.text("runtime_version"),
        machine=fields.text("machine"),
        delegate=fields.text("delegate"),
        partitions=fields.count("partitions"),
        undelegated=fields.count("undelegated"),
        model_sha256=fields.sha256("model_sha256"),
        input=_tensor(fields.inner("input")),
        outputs=outputs,
        images=images,
        outputs_bytes=fields.whole("outputs_bytes", size_bytes, min(size_bytes, MAX_BYTES)),
        outputs_sha256=fields.sha256("outputs_sha256"),
        threads=fields.whole("threads", 1, 4096),
        cpu_mask=fields.text("cpu_mask"),
        warmup=fields.whole("warmup", 0, MAX_RUNS),
        load_ms=fields.real("load_ms"),
        first_ms=fields.real("first_ms"),
        runs_ms=runs_ms,
        peak_rss_kb=fields.whole("peak_rss_kb", 0, MAX_BYTES),
        sensors=_sensors(fields.inner("temperature_c"), fields.inner("frequency_khz")),
        clock_jumped=abs(fields.real("wall_s") - fields.real("monotonic_s")) > CLOCK_JUMP_S,
        events=tuple(_event(_Fields(event)) for event in fields.items("events", MAX_EVENTS))
        if fields.has("events")
        else (),
    )


def _event(fields: _Fields) -> Event:
    start_us, elapsed_us = (fields.whole(key, 0, MAX_US) for key in ("start_us", "elapsed_us"))
    kind = fields.text("kind")
    if kind not in EVENT_KINDS:
        raise ValueError(f"kind = {kind!r:.40}")
    return Event(fields.text("name", MAX_NAME), kind, start_us, elapsed_us, fields.whole("node", -1, MAX_RUNS))


def _outputs(fields: _Fields) -> tuple[DeviceTensor, ...]:
    found = tuple(_tensor(_Fields(described)) for described in fields.items("outputs", MAX_OUTPUTS))
    if not found or len({tensor.name for tensor in found}) < len(found):
        raise ValueError("outputs: none, or two of one name")
    return found


def _tensor(fields: _Fields) -> DeviceTensor:
    name, dtype = fields.name("name"), fields.text("dtype")
    shape = tuple(whole(length, "shape", 1, 1 << 31) for length in fields.items("shape", MAX_RANK))
    size_bytes = ITEM_BYTES[dtype] * math.prod(shape)
    return DeviceTensor(name, dtype, shape, fields.whole("size_bytes", size_bytes, min(size_bytes, MAX_BYTES)))


def _sensors(temperature: _Fields, frequency: _Fields) -> Sensors:
    khz = [
        tuple(whole(v, "frequency_khz", 0, 1 << 40) for v in frequency.items(key, MAX_ITEMS))
        for key in ("before", "after")
    ]
    return Sensors(temperature.mapping("before"), temperature.mapping("after"), khz[0], khz[1])
