"""A model file through the Python runner on this host, in both runtimes: outputs, times, and what it refuses."""

import hashlib
import math
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgekit.devices.result import RunnerResult
from edgekit.devices.run_model import RunRequest, open_device, run_model
from edgekit.errors import EdgekitError
from edgekit.target import EmitOptions, targets

IMAGES = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
NET = """<ir_version: 10, opset_import: ["" : 21]>
net (float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y) { y = Relu(x) }"""


@pytest.fixture(params=["tflite", "onnxruntime"])
def request_for(request, tmp_path):
    """`request_for(**options)`: a request for a net that gives its input again, in the runtime of the parameter."""
    target = targets.get("tflite-fp32" if request.param == "tflite" else "ort-fp32")
    file = tmp_path / "net"
    file.write_bytes(target.emit(ir.from_proto(onnx.parser.parse_model(NET)), target, EmitOptions()).data)
    stored = IMAGES.transpose(0, 2, 3, 1) if request.param == "tflite" else IMAGES

    def make(**options) -> RunRequest:
        given = {
            "runtime": request.param,
            "model": file,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "inputs": np.ascontiguousarray(stored).tobytes(),
        }
        return RunRequest(**{**given, **options})

    return make


def run_here(request: RunRequest) -> tuple[RunnerResult, bytes]:
    with open_device("local") as device:
        return run_model(device, request)


def test_outputs_of_all_images_come_back(request_for):
    request = request_for()
    result, outputs = run_here(request)
    assert outputs == request.inputs
    assert (result.images, result.outputs_bytes) == (2, len(outputs))
    assert result.outputs_sha256 == hashlib.sha256(outputs).hexdigest()
    assert (result.runner, result.runs_ms) == ("python", ())


def test_runs_are_timed_one_by_one(request_for):
    result, _ = run_here(request_for(runs=5, warmup=2, threads=2))
    assert (len(result.runs_ms), result.warmup, result.threads) == (5, 2, 2)
    assert all(0 < ms < 1000 for ms in (*result.runs_ms, result.load_ms, result.first_ms))
    assert result.peak_rss_kb > 1000
    assert not result.clock_jumped


def test_a_shortest_time_is_kept(request_for):
    result, _ = run_here(request_for(runs=3, min_time_s=0.05))
    assert len(result.runs_ms) > 3
    assert math.fsum(result.runs_ms) < 5000


def test_the_tflite_runtime_says_how_it_cut_the_graph(request_for):
    result, _ = run_here(request_for())
    expected = {"litert": ("XNNPACK", 1, 0), "onnxruntime": ("CPUExecutionProvider", None, None)}
    assert (result.delegate, result.partitions, result.undelegated) == expected[result.runtime]


def test_nothing_but_the_runner_stays(request_for, tmp_path):
    run_here(request_for())
    left = list((tmp_path / "cache" / "devices" / "local").iterdir())
    assert len(left) == 1
    assert left[0].name.startswith("runner-")


def test_the_runner_refuses_another_file_than_was_meant(request_for):
    with pytest.raises(EdgekitError) as raised:
        run_here(request_for(sha256="0" * 64))
    assert raised.value.code == "EK608"


@pytest.mark.parametrize(
    ("options", "said"),
    [({"inputs": b"123"}, "no multiple"), ({"cpu_mask": 1 << 60}, "cpu mask"), ({"threads": 0}, "out of range")],
)
def test_what_cannot_be_run_is_told(options, said, request_for):
    with pytest.raises(EdgekitError) as raised:
        run_here(request_for(**options))
    assert raised.value.code == "EK610"
    assert said in raised.value.what


def test_a_file_that_is_no_model_is_told(request_for, tmp_path):
    (tmp_path / "text").write_text("no model")
    digest = hashlib.sha256(b"no model").hexdigest()
    with pytest.raises(EdgekitError) as raised:
        run_here(request_for(model=tmp_path / "text", sha256=digest))
    assert (raised.value.code, raised.value.where) == ("EK610", "local")


def test_a_core_can_be_chosen(request_for):
    result, _ = run_here(request_for(cpu_mask=1))
    assert result.cpu_mask == "1"


def test_a_run_that_takes_too_long_ends_itself(request_for):
    request = request_for(runs=1, min_time_s=60, timeout_s=1)
    with pytest.raises(EdgekitError) as raised:
        run_here(request)
    assert raised.value.code == "EK603"


def test_the_runner_is_put_there_once(request_for, monkeypatch):
    pushed: list[str] = []
    with open_device("local") as device:
        push = device.push
        monkeypatch.setattr(device, "push", lambda source, name: (pushed.append(name), push(source, name)))
        for _ in range(2):
            run_model(device, request_for())
    assert [name.split("-")[0] for name in pushed] == ["runner", "work", "work"]


def test_the_runner_needs_nothing_of_edgekit(package):
    source = (Path(package) / "devices" / "runner.py").read_text()
    assert "import edgekit" not in source
    assert "from edgekit" not in source
