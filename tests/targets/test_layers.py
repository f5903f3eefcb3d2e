"""Model files taken apart: every piece is a file that runs, and gives what the whole file has there."""

import numpy as np
import onnxruntime as ort
import pytest

import edgekit
from edgekit.target import Layers, targets
from edgekit.targets.tflite.run import load_interpreter

TARGETS = ("tflite-fp32", "tflite-int8", "ort-fp32", "ort-int8")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """MobileNetV3-Small: branches, squeeze-and-excitation, residuals, pads."""
    out = tmp_path_factory.mktemp("build")
    run = edgekit.export("mobilenet_v3_small", target=TARGETS, input_size="32", samples=16, out=out)
    return {name: artifact.emitted for name, artifact in run.artifacts.items()}


@pytest.fixture(params=TARGETS)
def taken_apart(request, exported) -> tuple[str, Layers]:
    data = exported[request.param].data
    return request.param, targets.get(request.param).layers(data)


def run(name, data, dtype=None):
    """The first output of a file fed with ones."""
    if name.startswith("ort"):
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        source = session.get_inputs()[0]
        return session.run(None, {source.name: np.ones(source.shape, np.float32)})[0]
    interpreter = load_interpreter(data)
    source = interpreter.get_input_details()[0]
    interpreter.set_tensor(source["index"], np.ones(source["shape"], source["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_every_piece_runs_and_gives_what_is_declared(taken_apart):
    name, layers = taken_apart
    for cut in (*layers.cuts[::3], layers.cuts[-1]):
        output = run(name, layers.until(cut))
        assert (str(output.dtype), output.shape) == (cut.output.dtype, cut.output.shape), cut


def test_the_last_piece_is_the_whole_file(taken_apart, exported):
    name, layers = taken_apart
    assert np.array_equal(run(name, layers.until(layers.cuts[-1])), run(name, exported[name].data))
    assert layers.cuts[-1].tensor == exported[name].outputs[0].name


def test_a_piece_holds_no_weights_of_what_follows(taken_apart, exported):
    name, layers = taken_apart
    assert len(layers.until(layers.cuts[0])) < len(exported[name].data) / 4


def test_sources_come_before_what_reads_them(taken_apart):
    _, layers = taken_apart
    for index, cut in enumerate(layers.cuts):
        assert cut.index == index
        assert all(source < index for source in cut.sources)
        assert cut.sources or cut.reads_input
    assert layers.cuts[0].reads_input


def test_a_quantized_graph_is_cut_between_its_kernels(exported):
    layers = targets.get("ort-int8").layers(exported["ort-int8"].data)
    assert {cut.output.dtype for cut in layers.cuts[:-1]} == {"uint8"}
    assert {"Conv", "Mul", "Add"} <= {cut.operator for cut in layers.cuts}
    assert all(cut.output.scale for cut in layers.cuts[:-1])
