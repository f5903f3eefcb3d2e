"""A model file on a device against the same file on this host: `verify --device` and `export --device`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import Hop, hop_document
from edgekit.bundle.files import Bundle, sha256
from edgekit.devices.device import Device
from edgekit.devices.faults import untrusted
from edgekit.devices.result import RunnerResult
from edgekit.devices.run_model import RunRequest, open_device, run_model
from edgekit.devices.toolchain import RuntimeKind
from edgekit.environment import installed
from edgekit.errors import EdgekitError, Table
from edgekit.graph.stored import to_real, to_stored
from edgekit.progress import Progress
from edgekit.target import FloatArray, Target, TensorInfo, Tolerance, targets
from edgekit.verify.parity import compare

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

HOST_RUNTIMES = {
    "tflite": (("litert", "ai-edge-litert"), ("tflite-runtime", "tflite-runtime")),
    "onnx": (("onnxruntime", "onnxruntime"),),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A model file with what it gave on this host.

    Args:
        images: f32[n, C, H, W]; outputs: f32[n, k] that the host's runtime made of them; reference: f32[n, k] of the
            float model.
    """

    target: Target
    file: Path
    sha256: str
    input: TensorInfo
    output: TensorInfo
    images: FloatArray
    outputs: FloatArray
    reference: FloatArray

    @property
    def rounding_gate_db(self) -> float:
        """How far another runtime's rounding may move the outputs."""
        cost = compare(self.reference, self.outputs, name="file", reference_name="float model").sqnr_db
        return min(MIN_SQNR_DB, cost)


@dataclass(frozen=True, slots=True)
class DeviceParity:
    """One row of the report.

    Args:
        result: what the runner said about its runtime.
        like: whether host and device ran the same version of the same kernels, so that integers must be equal.
        steps: the largest difference in steps of the output's scale; None where it has none.
    """

    device: str
    result: RunnerResult
    hop: Hop
    like: bool
    different: int
    steps: int | None

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
            "different_outputs": self.different,
            "steps": self.steps,
            "outputs_sha256": self.result.outputs_sha256,
            "hop": hop_document(self.hop),
        }


Outcome = tuple[str, DeviceParity | EdgekitError]
"""A device's name with what came of it."""


def check_devices(bundle: Bundle, names: Sequence[str], timeout_s: int, progress: Progress) -> list[Outcome]:
    """A bundle's golden vectors on every device; one that fails does not keep the others from being tried."""
    if not names:
        return []
    subject = bundle_subject(bundle)
    found: list[Outcome] = []
    for name in dict.fromkeys(names):
        progress.start(f"{bundle.target} on {name}")
        try:
            with open_device(name) as device:
                found.append((name, check_device(device, subject, timeout_s)))
        except EdgekitError as error:
            found.append((name, error))
        progress.finish(f"{bundle.target} on {name}")
    return found


def bundle_subject(bundle: Bundle) -> Subject:
    """A bundle's file with what this host makes of its golden inputs now."""
    target = targets.get(bundle.target)
    tensors = [
        TensorInfo(**{**tensor, "shape": tuple(tensor["shape"])})
        for tensor in (bundle.contract["inputs"][0], bundle.contract["outputs"][0])
    ]
    outputs = target.run(bundle.model_file)(bundle.inputs)
    digest = sha256(bundle.model_file.read_bytes())
    return Subject(target, bundle.model_file, digest, tensors[0], tensors[1], bundle.inputs, outputs, bundle.reference)


def check_device(device: Device, subject: Subject, timeout_s: int) -> DeviceParity:
    """Run the file on the device and compare with the host.

    Raises:
        EdgekitError: EK60x from the device; EK608 when its outputs do not have the contract's size.
    """
    inputs = to_stored(subject.images, subject.input).tobytes()
    request = RunRequest(runtime_of(subject.target), subject.file, subject.sha256, inputs, timeout_s=timeout_s)
    result, data = run_model(device, request)
    name = device.address.name
    try:
        actual = to_real(data, subject.output)
    except ValueError as error:
        raise untrusted(f"the outputs have another size than the contract says: {error}", name) from error
    return judge(name, subject, result, actual)


def runtime_of(target: Target) -> RuntimeKind:
    """What runs a target's files on a device."""
    return "tflite" if target.format == "tflite" else "onnxruntime"


def judge(name: str, subject: Subject, result: RunnerResult, actual: FloatArray) -> DeviceParity:
    """Compare a device's outputs, f32[n, k], with the host's under the gate that applies."""
    target, like = subject.target, is_like(subject.target, result)
    hop = compare(
        subject.outputs,
        actual,
        name=f"{target.name} on {name}",
        reference_name=f"{target.name} on the host",
        tolerance=float_gate(subject, like),
    )
    if not np.isfinite(hop.max_abs):  # outputs of another shape, or with a NaN in them
        return DeviceParity(name, result, hop, like, actual.size, None)
    different = int(np.count_nonzero(actual != subject.outputs))
    steps = None if subject.output.scale is None else round(hop.max_abs / subject.output.scale)
    if target.scheme.activation == "int8":
        hop = integer_gate(hop, different, actual.size, like, steps)
    return DeviceParity(name, result, hop, like, different, steps)


def is_like(target: Target, result: RunnerResult) -> bool:
    """Same runtime, same version, and kernels that are the same on every CPU: XNNPACK's and ONNX Runtime's."""
    host = next(((n, installed(p)) for n, p in HOST_RUNTIMES[target.format] if installed(p)), None)
    same_kernels = result.delegate == "CPUExecutionProvider" or (
        result.delegate == "XNNPACK" and not result.undelegated
    )
    return host == (result.runtime, result.runtime_version) and same_kernels


def float_gate(subject: Subject, like: bool) -> Tolerance:
    """The gate for outputs that need not be equal."""
    scheme = subject.target.scheme
    if scheme.weight != "int8":
        return FLOAT_GATE
    on_the_fly = like and scheme.activation != "int8"
    return Tolerance(min_sqnr_db=ON_THE_FLY_DB if on_the_fly else subject.rounding_gate_db)


def integer_gate(hop: Hop, different: int, total: int, like: bool, steps: int | None) -> Hop:
    """Equal for like with like; otherwise within two steps, or the hop's own gate in decibels."""
    if like:
        return replace(hop, gate=f"bit-exact: {different} of {total} outputs differ", passed=different == 0)
    if steps is None:
        return hop
    if steps <= MAX_STEPS:
        return replace(hop, gate=f"{steps} <= {MAX_STEPS} steps", passed=True)
    return replace(hop, gate=f"{steps} steps, {hop.gate}")


def raise_differences(rows: list[DeviceParity], where: str) -> None:
    """EK503 when a device's outputs are outside of the gate."""
    failed = [row for row in rows if not row.hop.passed]
    if not failed:
        return
    lines = tuple(
        (row.device, f"{row.result.runtime} {row.result.runtime_version}", row.result.delegate, row.hop.gate)
        for row in failed
    )
    raise EdgekitError(
        "EK503",
        what=f"{len(failed)} of {len(rows)} devices give other outputs than this host",
        where=where,
        fix="the same runtime version on both makes them comparable; report this with: edgekit doctor",
        table=Table(("device", "runtime", "delegate", "gate"), lines),
    )
