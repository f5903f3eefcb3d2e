"""A model file on a device against the same file on this host: `verify --device` and `export --device`."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import Hop, OutputParity, hop_document
from edgekit.bundle.files import Bundle, sha256
from edgekit.devices.device import Device
from edgekit.devices.faults import untrusted
from edgekit.devices.result import DeviceTensor, RunnerResult
from edgekit.devices.run_model import RunRequest, open_device, run_model
from edgekit.devices.settings import find
from edgekit.errors import EdgekitError, Table
from edgekit.graph.stored import to_real, to_stored
from edgekit.progress import Progress
from edgekit.target import FloatArray, Outputs, Runtime, Target, TensorInfo, Tolerance, targets
from edgekit.verify.parity import compare_output

MAX_STEPS = 2
"""int8 across runtimes, versions or kernels: every operator may round by a step more or less."""

MIN_SQNR_DB = 20.0
"""Where those steps add up over a deep network. Where quantization itself costs more than that, another runtime's
rounding may cost as much as quantization, and no more. Measured, tflite-runtime 2.14's own ARM kernels against XNNPACK:
9 steps and 26 dB on a MobileNetV3 whose quantization costs 19 dB."""

FLOAT_GATE = Tolerance(max_abs=1e-5)
"""float32 arithmetic in another order of additions; measured: 7e-7 of the range."""

ON_THE_FLY_DB = 40.0
"""Activations that are rounded while the model runs: a difference in the last bit may become a whole step. Measured:
146 dB like with like, 37 dB for a runtime that rounds other nodes on the fly (there `MIN_SQNR_DB` applies)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model file with what it gave on this host.

    Args:
        tensors: every output as the file stores it.
        images: f32[n, C, H, W]; outputs: what the host's runtime made of them; reference: what the float model did.
        scores: which output holds the scores of classes; None where none does.
    """

    target: Target
    file: Path
    sha256: str
    input: TensorInfo
    tensors: tuple[TensorInfo, ...]
    images: FloatArray
    outputs: Outputs
    reference: Outputs
    scores: str | None

    def rounding_gate_db(self, output: str) -> float:
        """How far another runtime's rounding may move an output."""
        float_model, file = self.reference.get(output), self.outputs.get(output)
        return min(MIN_SQNR_DB, compare_output(output, float_model, file, Tolerance(), classes=False).sqnr_db)


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """How much of one output is not equal on a device.

    Args:
        output: its name.
        different: how many of `total` values, over all images.
        steps: the largest difference in steps of the output's scale; None where it has none.
    """

    output: str
    different: int
    total: int
    steps: int | None


@dataclass(frozen=True, slots=True)
class DeviceParity:
    """One row of the report.

    Args:
        result: what the runner said about its runtime.
        like: whether host and device ran the same version of the same kernels, so that integers must be equal.
        differences: of each output, in the order of the hop.
    """

    device: str
    result: RunnerResult
    hop: Hop
    like: bool
    differences: tuple[OutputDifference, ...]

    @property
    def summary(self) -> str:
        """What ran there, in one line."""
        found = self.result
        parts = (
            "" if found.partitions is None else f", {found.partitions} partitions, {found.undelegated} nodes outside"
        )
        return f"{found.runtime} {found.runtime_version} on {found.machine}, {found.delegate}{parts}"

    def document(self) -> dict[str, Any]:
        """As JSON, for `--json`."""
        return {
            "device": self.device,
            "runtime": self.result.runtime,
            "runtime_version": self.result.runtime_version,
            "runner": self.result.runner,
            "machine": self.result.machine,
            "delegate": self.result.delegate,
            "partitions": self.result.partitions,
            "undelegated": self.result.undelegated,
            "like_with_like": self.like,
            "outputs": [asdict(difference) for difference in self.differences],
            "outputs_sha256": self.result.outputs_sha256,
            "hop": hop_document(self.hop),
        }


Outcome = tuple[str, DeviceParity | EdgekitError]
"""A device's name with what came of it."""


def check_devices(bundle: Bundle, names: Sequence[str], timeout_s: int, progress: Progress) -> list[Outcome]:
    """A bundle's golden vectors on every device; one that fails does not keep the others from being tried.

    Raises:
        EdgekitError: EK101 or EK106 for a name that means no device, before anything runs.
    """
    if not names:
        return []
    for name in names:
        find(name)
    subject = bundle_subject(bundle)
    found: list[Outcome] = []
    for name in dict.fromkeys(names):
        progress.start(f"{bundle.target} on {name}")
        try:
            with open_device(name) as device:
                row = check_device(device, subject, timeout_s)
        except EdgekitError as error:
            found.append((name, error))
            continue
        found.append((name, row))
        if row.hop.passed:
            progress.finish(f"{bundle.target} on {name}")
    return found


def bundle_subject(bundle: Bundle) -> Subject:
    """A bundle's file with what this host makes of its golden inputs now."""
    target = targets.get(bundle.target)
    return Subject(
        target,
        bundle.model_file,
        sha256(bundle.model_file.read_bytes()),
        bundle.input,
        bundle.output_tensors,
        bundle.inputs,
        target.run(bundle.model_file)(bundle.inputs),
        bundle.reference,
        bundle.scores.name if bundle.scores else None,
    )


def check_device(device: Device, subject: Subject, timeout_s: int) -> DeviceParity:
    """Run the file on the device and compare every output with the host.

    Raises:
        EdgekitError: EK60x from the device; EK608 when its outputs are not those of the contract.
    """
    inputs = to_stored(subject.images, subject.input).tobytes()
    request = RunRequest(subject.target.runtime, subject.file, subject.sha256, inputs, timeout_s=timeout_s)
    result, data = run_model(device, request)
    name = device.address.name
    check_outputs(subject.tensors, result.outputs, name)
    return judge(name, subject, result, {tensor.name: to_real(data[tensor.name], tensor) for tensor in subject.tensors})


def check_outputs(expected: Sequence[TensorInfo], found: Sequence[DeviceTensor], where: str) -> None:
    """EK608 unless a device gave what the contract says: the same names, each with its dtype and its size."""
    there, wanted = {tensor.name: tensor for tensor in found}, {tensor.name for tensor in expected}
    absent, unknown = sorted(wanted - there.keys()), sorted(there.keys() - wanted)
    if absent or unknown:
        said = [f"no output {name!r}" for name in absent] + [f"an output {name!r} more" for name in unknown]
        raise untrusted(f"the outputs are not the contract's: {', '.join(said)}", where)
    for tensor in expected:
        one = there[tensor.name]
        if (one.dtype, math.prod(one.shape)) != (tensor.dtype, math.prod(tensor.shape)):
            given, told = f"{one.dtype}{list(one.shape)}", f"{tensor.dtype}{list(tensor.shape)}"
            raise untrusted(f"output {tensor.name!r} is {given}, the contract says {told}", where)


def judge(name: str, subject: Subject, result: RunnerResult, actual: Outputs) -> DeviceParity:
    """Compare each of a device's outputs with the host's under the gate that applies to it."""
    target, like = subject.target.name, is_like(subject.target.runtime, result)
    judged = [judge_output(subject, tensor, actual[tensor.name], like) for tensor in subject.tensors]
    hop = Hop(f"{target} on {name}", f"{target} on the host", tuple(parity for parity, _ in judged))
    return DeviceParity(name, result, hop, like, tuple(difference for _, difference in judged))


def judge_output(
    subject: Subject, tensor: TensorInfo, actual: FloatArray, like: bool
) -> tuple[OutputParity, OutputDifference]:
    """One output of a device, f32[n, ...], against the host's."""
    name, expected = tensor.name, subject.outputs.get(tensor.name)
    gate = float_gate(subject, name, like)
    parity = compare_output(name, expected, actual, gate, classes=name == subject.scores)
    if not np.isfinite(parity.max_abs):  # outputs of another shape, or with a NaN in them
        return parity, OutputDifference(name, actual.size, actual.size, None)
    steps = None if tensor.scale is None else round(parity.max_abs / tensor.scale)
    found = OutputDifference(name, int(np.count_nonzero(actual != expected)), actual.size, steps)
    if subject.target.scheme.activation == "int8":
        parity = integer_gate(parity, found, like)
    return parity, found


def is_like(runtime: Runtime, result: RunnerResult) -> bool:
    """Same package, same version, and kernels that are the same on every CPU."""
    host, exact = runtime.host, result.delegate == runtime.exact and not result.undelegated
    return host is not None and (host.name, host.version) == (result.runtime, result.runtime_version) and exact


def float_gate(subject: Subject, output: str, like: bool) -> Tolerance:
    """The gate for an output that need not be equal."""
    scheme = subject.target.scheme
    if scheme.weight != "int8":
        return FLOAT_GATE
    on_the_fly = like and scheme.activation != "int8"
    return Tolerance(min_sqnr_db=ON_THE_FLY_DB if on_the_fly else subject.rounding_gate_db(output))


def integer_gate(parity: OutputParity, found: OutputDifference, like: bool) -> OutputParity:
    """Equal for like with like; otherwise within two steps, or the output's own gate in decibels."""
    if like or not found.different:
        gate = f"bit-exact: {found.different} of {found.total} values differ"
        return replace(parity, gate=gate, passed=found.different == 0)
    if found.steps is None:
        return parity
    if found.steps <= MAX_STEPS:
        return replace(parity, gate=f"{found.steps} <= {MAX_STEPS} steps", passed=True)
    return replace(parity, gate=f"{found.steps} steps, {parity.gate}")


def raise_differences(rows: list[DeviceParity], where: str) -> None:
    """EK503 when an output of a device is outside of its gate."""
    failed = [row for row in rows if not row.hop.passed]
    if not failed:
        return
    lines = tuple(
        (
            row.device,
            f"{row.result.runtime} {row.result.runtime_version}",
            row.result.delegate,
            found.output,
            found.gate,
        )
        for row in failed
        for found in row.hop.outputs
        if not found.passed
    )
    raise EdgekitError(
        "EK503",
        what=f"{len(failed)} of {len(rows)} devices give other outputs than this host",
        where=where,
        fix="the same runtime version on both makes them comparable; report this with: edgekit doctor",
        table=Table(("device", "runtime", "delegate", "output", "gate"), lines),
    )
