"""A model file through both runners on this host, in both runtimes: outputs, times, and what they refuse."""

import ast
import hashlib
import json
import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgekit.devices import run_model as running
from edgekit.devices.device import Address, Completed
from edgekit.devices.local import LocalDevice
from edgekit.devices.result import MAX_OUTPUTS, RunnerResult
from edgekit.devices.run_model import RunRequest, install_runner, open_device, run_model
from edgekit.errors import EdgekitError
from edgekit.target import EmitOptions, Runtime, runtimes, targets
from edgekit.targets.tflite.flatbuffer import pack_model

IMAGES = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
POSITIVE, MEAN = np.maximum(IMAGES, 0), IMAGES.mean((2, 3))
HEADS = {
    "zones": ("float[1, 3, 4, 5] zones", POSITIVE),
    "area": ("float[1, 3] area", MEAN),
    "longest": ("float[1, 4, 5] longest", POSITIVE.max(1)),
}
BODY = """
  zones = Relu(x)
  pooled = GlobalAveragePool(x)
  area = Reshape(pooled, flat)
  longest = ReduceMax <keepdims: int = 0> (zones, channels)
"""
ORDERS = [order for count in (1, 2, 3) for order in permutations(HEADS, count)]


def graph(outputs: str, body: str) -> ir.Model:
    constants = "<int64[2] flat = {1, 3}, int64[1] channels = {1}, float zero = {0}>"
    text = f"net (float[1, 3, 4, 5] x) => ({outputs}) {constants} {{ {body} }}"
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]> {text}')
    return ir.from_proto(onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))


def heads(order: tuple[str, ...]) -> ir.Model:
    """The net whose outputs are those of HEADS, in this order."""
    return graph(", ".join(HEADS[name][0] for name in order), BODY)


def as_stored(values: np.ndarray, runtime: Runtime) -> np.ndarray:
    """Feature maps lie channels-last in TFLite files."""
    return values.transpose(0, 2, 3, 1) if runtime.name == "tflite" and values.ndim == 4 else values


@pytest.fixture(params=["python", "c"])
def runner(request, monkeypatch) -> str:
    """The Python runner, as `local` takes it, or the C runner in its place."""
    if request.param == "c":
        start = request.getfixturevalue("c_runner")
        monkeypatch.setattr(running, "install_runner", lambda device, runtime: start(runtime))
    return str(request.param)


@pytest.fixture(params=["tflite-fp32", "ort-fp32"])
def request_for(request, runner, tmp_path):
    """`request_for(net, **options)`: a request for a net as a file of the target; without one, for Relu."""
    target = targets.get(request.param)

    def make(net: ir.Model | None = None, **options) -> RunRequest:
        file = tmp_path / "net"
        file.write_bytes(target.emit(net or heads(("zones",)), target, EmitOptions()).data)
        given = {
            "runtime": target.runtime,
            "model": file,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "inputs": np.ascontiguousarray(as_stored(IMAGES, target.runtime)).tobytes(),
        }
        return RunRequest(**{**given, **options})

    return make


def run_here(request: RunRequest) -> tuple[RunnerResult, dict[str, bytes]]:
    with open_device("local") as device:
        return run_model(device, request)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_every_output_of_all_images_comes_back_by_its_name(order, request_for, runner):
    request = request_for(heads(order))
    result, outputs = run_here(request)
    assert list(outputs) == [tensor.name for tensor in result.outputs]
    assert outputs.keys() == set(order)
    for tensor in result.outputs:
        expected = as_stored(HEADS[tensor.name][1], request.runtime)
        assert (tensor.dtype, tensor.shape) == ("float32", (1, *expected.shape[1:]))
        found = np.frombuffer(outputs[tensor.name], np.float32).reshape(expected.shape)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (result.runner, result.images, result.runs_ms) == (runner, 2, ())
    assert (result.input.name, result.input.size_bytes) == ("x", IMAGES[0].nbytes)
    assert result.outputs_bytes == sum(map(len, outputs.values()))


@pytest.mark.parametrize("request_for", ["tflite-fp32"], indirect=True)
@pytest.mark.parametrize("order", list(permutations(HEADS)), ids="-".join)
def test_a_signature_may_name_the_outputs_in_another_order(order, request_for):
    request = request_for(heads(tuple(HEADS)))
    model = schema.ModelT.InitFromPackedBuf(bytearray(request.model.read_bytes()), 0)
    (graph,) = model.subgraphs
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    signature.inputs = [entry(graph, graph.inputs[0])]
    signature.outputs = [entry(graph, graph.outputs[list(HEADS).index(name)]) for name in order]
    model.signatureDefs = [signature]
    request.model.write_bytes(pack_model(model))
    _, outputs = run_here(replace(request, sha256=hashlib.sha256(request.model.read_bytes()).hexdigest()))
    for name, (_, values) in HEADS.items():
        np.testing.assert_allclose(
            np.frombuffer(outputs[name], np.float32), as_stored(values, request.runtime).ravel(), atol=1e-6
        )


def entry(graph, tensor):
    """A tensor in a signature, under its own name."""
    made = schema.TensorMapT()
    made.name, made.tensorIndex = graph.tensors[int(tensor)].name, int(tensor)
    return made


def test_indices_truths_and_single_numbers_come_back_as_they_are(request_for):
    declared = "int64[1, 4, 5] best, bool[1, 3, 4, 5] bright, float total, float[1, 3, 4, 5] größte"
    body = """
      best = ArgMax <axis: int = 1, keepdims: int = 0> (x)
      bright = Greater(x, zero)
      total = ReduceSum <keepdims: int = 0> (x)
      größte = Relu(x)
    """
    model = graph(declared.replace("größte", "large"), body.replace("größte", "large"))
    model.graph.outputs[3].name = "größte"
    request = request_for(model)
    result, outputs = run_here(request)
    expected = {
        "best": IMAGES.argmax(1),
        "bright": as_stored(IMAGES > 0, request.runtime),
        "total": IMAGES.sum((1, 2, 3)),
        "größte": as_stored(POSITIVE, request.runtime),
    }
    kinds = {tensor.name: (tensor.dtype, len(tensor.shape)) for tensor in result.outputs}
    assert kinds == {"best": ("int64", 3), "bright": ("bool", 4), "total": ("float32", 0), "größte": ("float32", 4)}
    for name, values in expected.items():
        np.testing.assert_allclose(np.frombuffer(outputs[name], values.dtype), values.ravel(), rtol=1e-5)


def test_a_file_with_more_outputs_than_can_be_read_is_told(request_for):
    def net(count: int) -> ir.Model:
        names = [f"y{index}" for index in range(count)]
        declared = ", ".join(f"float[1, 3, 4, 5] {name}" for name in names)
        return graph(declared, "\n".join(f"{name} = Relu(x)" for name in names))

    assert len(run_here(request_for(net(MAX_OUTPUTS)))[1]) == MAX_OUTPUTS
    with pytest.raises(EdgekitError) as raised:
        run_here(request_for(net(MAX_OUTPUTS + 1)))
    assert raised.value.code == "EK610"
    assert f"{MAX_OUTPUTS + 1} outputs, 1 to {MAX_OUTPUTS} can be read" in raised.value.what


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
    result, _ = run_here(request_for(heads(("zones", "area"))))
    expected = {"litert": ("XNNPACK", 1, 0), "onnxruntime": ("CPUExecutionProvider", None, None)}
    assert (result.delegate, result.partitions, result.undelegated) == expected[result.runtime]


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
    request = request_for(warmup=10**9, timeout_s=1)  # a million timed runs of so small a net can take less
    with pytest.raises(EdgekitError) as raised:
        run_here(request)
    assert raised.value.code == "EK603"


@pytest.mark.parametrize("runner", ["python"], indirect=True)
@pytest.mark.parametrize("shorter", ["--inputs", "--outputs"])
def test_another_number_of_images_than_was_sent_is_not_believed(shorter, request_for, monkeypatch):
    """A device that loses the last image on the way there, or what came of it on the way back, and hashes the rest."""

    def losing(argv, timeout_s):
        file = device.folder / argv[argv.index(shorter) + 1]
        before = run(argv, timeout_s) if shorter == "--outputs" else None
        file.write_bytes(file.read_bytes()[: IMAGES[0].nbytes])
        if before is None:
            return run(argv, timeout_s)
        told = json.loads(before.stdout) | {"outputs_sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        return Completed(0, json.dumps(told).encode(), b"")

    with open_device("local") as device:
        run = device.run
        monkeypatch.setattr(device, "run", losing)
        with pytest.raises(EdgekitError) as raised:
            run_model(device, request_for())
    assert raised.value.code == "EK608"
    assert "another number of images" in raised.value.what


@pytest.mark.parametrize("runner", ["python"], indirect=True)
def test_nothing_but_the_runner_stays(request_for, tmp_path):
    run_here(request_for())
    left = list((tmp_path / "cache" / "devices" / "local").iterdir())
    assert len(left) == 1
    assert left[0].name.startswith("runner-")


@pytest.mark.parametrize("runner", ["python"], indirect=True)
def test_the_runner_is_put_there_once(request_for, monkeypatch):
    pushed: list[str] = []
    with open_device("local") as device:
        push = device.push
        monkeypatch.setattr(device, "push", lambda source, name: (pushed.append(name), push(source, name)))
        for _ in range(2):
            run_model(device, request_for())
    assert [name.split("-")[0] for name in pushed] == ["runner", "work", "work"]


@pytest.mark.parametrize("runtime", runtimes(), ids=lambda runtime: runtime.name)
def test_what_goes_to_a_board_needs_nothing_of_edgekit_and_an_old_python(runtime):
    for file in (running.PYTHON_RUNNER, runtime.session):
        tree = ast.parse(file.read_text(), feature_version=(3, 9))
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        imported = {alias.name for node in names for alias in node.names} | {
            node.module for node in names if isinstance(node, ast.ImportFrom)
        }
        assert not {name for name in imported if name.startswith("edgekit")}
        assert "annotations" in imported  # 3.9 does not compute `int | None`


@pytest.mark.parametrize("runner", ["python"], indirect=True)
@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("import no_such_package", "EK606", "No module named 'no_such_package'"),
        ("def Session(model, threads): raise OSError('it is no model')", "EK610", "model: it is no model"),
        ("def Session(model, threads): raise MemoryError", "EK607", "out of memory"),
    ],
)
def test_a_runtime_that_cannot_be_loaded_says_why(source, code, said, request_for, tmp_path):
    session = tmp_path / "session.py"
    session.write_text(source)
    with pytest.raises(EdgekitError) as raised:
        run_here(request_for(runtime=replace(runtimes()[0], session=session)))
    assert (raised.value.code, said in raised.value.what) == (code, True)


def test_a_runtime_without_a_c_library_is_no_case_for_the_c_runner(tmp_path):
    runtime = replace(runtimes()[0], title="Another", library=None)
    device = LocalDevice(Address("board", "local", "local", "", runner="c", folder=str(tmp_path)))
    with pytest.raises(EdgekitError, match="the C runner has no library of Another") as raised:
        install_runner(device, runtime)
    assert (raised.value.code, raised.value.where) == ("EK609", "board")
