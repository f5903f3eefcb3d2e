"""Running a model file on a device: runner and file put there, started, its result read, its outputs fetched."""

import hashlib
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.devices.device import Device, drivers
from edgekit.devices.emulated_python import packages_of_host, python_folder, start
from edgekit.devices.faults import untrusted
from edgekit.devices.lock import locked
from edgekit.devices.result import RunnerResult, read_result, split_outputs
from edgekit.devices.settings import find
from edgekit.devices.toolchain import LOADER, host_version, runner_folder
from edgekit.errors import EdgekitError
from edgekit.target import Runtime

GRACE_S = 15.0
"""The runner ends itself at its time limit; this much later the host ends it, where it could not."""

PYTHON_RUNNER = Path(__file__).with_name("runner.py")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to run, and how.

    Args:
        sha256: of the model file; the runner checks it on the device.
        inputs: images as the file stores them, back to back.
        runs, min_time_s: at least so many timed inferences of the first image, and at least so long.
        cpu_mask: cores that may be used, bit 0 is the first; 0: any.
        mark: tell the instruction counter of the emulated device where each timed inference starts.
        profile: the timed inferences run under the runtime's own profiler, and the result lists what it saw.
    """

    runtime: Runtime
    model: Path
    sha256: str
    inputs: bytes = field(repr=False)
    runs: int = 0
    warmup: int = 0
    min_time_s: float = 0.0
    threads: int = 1
    cpu_mask: int = 0
    mark: bool = False
    profile: bool = False
    timeout_s: int = 600


@contextmanager
def open_device(name: str, *, exclusive: bool | None = None) -> Iterator[Device]:
    """The device that the user calls `name`, held while the block runs.

    Args:
        exclusive: hold its lock, as measuring needs; None: where the driver says so.

    Raises:
        EdgekitError: EK101, EK106, EK601, EK604 or EK609.
    """
    address = find(name)
    driver = drivers.get(address.scheme)
    with ExitStack() as stack:
        if driver.exclusive if exclusive is None else exclusive:
            stack.enter_context(locked(address.uri, address.name))
        yield stack.enter_context(driver.open(address))


def install_runner(device: Device, runtime: Runtime, *, anew: bool = False) -> tuple[str, ...]:
    """Put the runner there unless it is there already; the argv that starts it.

    Args:
        anew: in place of one that is there: it may be damaged.

    Raises:
        EdgekitError: EK609 where the device runs the C runner, which has no library of the runtime.
    """
    install = _install_python if device.runner == "python" else _install_c
    return install(device, runtime, anew)


def _put(device: Device, folder: Path, name: str, anew: bool) -> None:
    if anew:
        device.remove(name)
    if anew or not device.exists(name):
        device.push(folder, name)


def _install_c(device: Device, runtime: Runtime, anew: bool) -> tuple[str, ...]:
    library = runtime.library
    if library is None:
        raise EdgekitError(
            "EK609",
            what=f"the C runner has no library of {runtime.title}",
            where=device.address.name,
            fix='use the Python of the device: runner = "python" in devices.toml',
        )
    folder = runner_folder(runtime, library)
    _put(device, folder, folder.name, anew)
    lib = f"{folder.name}/lib"
    program = (f"{lib}/{LOADER}", "--library-path", lib, f"{folder.name}/runner", "--runtime", runtime.name)
    return (*program, "--runtime-version", host_version(library.distribution), "--library", f"{lib}/{library.file}")


def _install_python(device: Device, runtime: Runtime, anew: bool) -> tuple[str, ...]:
    """The runner and the runtime's session, in a folder that is called by their hash."""
    sources = {"runner.py": PYTHON_RUNNER.read_bytes(), "session.py": runtime.session.read_bytes()}
    name = f"runner-{hashlib.sha256(b''.join(sources.values())).hexdigest()[:12]}"
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        for file, data in sources.items():
            (Path(folder) / file).write_bytes(data)
        _put(device, Path(folder), name, anew)
    return (*_python_of(device, runtime, anew), f"{name}/runner.py", "--runtime", f"{name}/session.py")


def _python_of(device: Device, runtime: Runtime, anew: bool) -> tuple[str, ...]:
    """How the device's Python is started: this one on `local`, one of its own on an emulated core."""
    address = device.address
    if address.scheme == "emulated":
        folder = python_folder(address.packages or packages_of_host(runtime))
        _put(device, folder, folder.name, anew)
        return start(folder.name)
    if address.scheme == "local" and address.python == "python3":
        return (sys.executable,)
    return (address.python,)


def run_model(device: Device, request: RunRequest) -> tuple[RunnerResult, dict[str, bytes]]:
    """Run a model file on the device.

    Returns:
        The runner's result, and every output by name: of all images, as stored, back to back.

    Raises:
        EdgekitError: EK60x; EK608 when the outputs do not have the hash or the size that the runner gave, or it ran
            another file, or on another number of images.
    """
    runner = install_runner(device, request.runtime)
    work = f"work-{secrets.token_hex(6)}"
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        sent, fetched = Path(folder) / "work", Path(folder) / "outputs"
        sent.mkdir()
        (sent / "model").write_bytes(request.model.read_bytes())
        (sent / "inputs").write_bytes(request.inputs)
        try:
            device.push(sent, work)
            done = device.run([*runner, *_options(request, work)], request.timeout_s + GRACE_S)
            result = read_result(done, device.address.name, request.timeout_s)
            device.pull(f"{work}/outputs", fetched, result.outputs_bytes)
        finally:
            device.remove(work)
        outputs = fetched.read_bytes()
    _check_ran(request, result, outputs, device.address.name)
    return result, split_outputs(result, outputs)


def _check_ran(request: RunRequest, result: RunnerResult, outputs: bytes, where: str) -> None:
    if hashlib.sha256(outputs).hexdigest() != result.outputs_sha256 or result.model_sha256 != request.sha256:
        raise untrusted("outputs or model have another hash than the runner said", where)
    if len(outputs) != result.outputs_bytes or result.images * result.input.size_bytes != len(request.inputs):
        raise untrusted("the runner read or wrote another number of images than it was sent", where)


def _options(request: RunRequest, work: str) -> list[str]:
    named = {
        "model": f"{work}/model",
        "sha256": request.sha256,
        "inputs": f"{work}/inputs",
        "outputs": f"{work}/outputs",
        "runs": request.runs,
        "warmup": request.warmup,
        "min-time-s": request.min_time_s,
        "threads": request.threads,
        "cpu-mask": f"{request.cpu_mask:x}",
        "timeout-s": request.timeout_s,
    }
    words = [word for key, value in named.items() for word in (f"--{key}", str(value))]
    flags = {"--mark": request.mark, "--profile": request.profile}
    return [*words, *(flag for flag, is_given in flags.items() if is_given)]
