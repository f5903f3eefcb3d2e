"""Model files taken apart: every piece is a file that runs, and gives what the whole file has there."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from heads import NAMES, ORDERS, graphs_of

import edgekit
from edgekit.target import EmitOptions, Layers, targets
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


def run(name, data):
    """The outputs of a file fed with ones, by name."""
    if name.startswith("ort"):
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        source = session.get_inputs()[0]
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {source.name: np.ones(source.shape, np.float32)}), strict=True))
    interpreter = load_interpreter(data)
    source = interpreter.get_input_details()[0]
    interpreter.set_tensor(source["index"], np.ones(source["shape"], source["dtype"]))
    interpreter.invoke()
    return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()}


def run_piece(name, layers, cut):
    """What the file that ends at `cut` gives, which is the cut's tensor alone."""
    found = run(name, layers.until(cut))
    assert list(found) == [cut.tensor]
    return found[cut.tensor]


def test_every_piece_runs_and_gives_what_is_declared(taken_apart):
    name, layers = taken_apart
    for cut in (*layers.cuts[::3], layers.cuts[-1]):
        output = run_piece(name, layers, cut)
        assert (str(output.dtype), output.shape) == (cut.output.dtype, cut.output.shape), cut


def test_the_last_piece_is_the_whole_file(taken_apart, exported):
    name, layers = taken_apart
    [output] = (cut for cut in layers.cuts if cut.gives_output)
    assert output == layers.cuts[-1]
    assert output.tensor == exported[name].outputs[0].name
    assert np.array_equal(run_piece(name, layers, output), run(name, exported[name].data)[output.tensor])


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


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_every_output_of_a_file_is_a_cut_and_a_piece_of_it(order, name):
    target = targets.get(name)
    data = target.emit(graphs_of(order, name)[1], target, EmitOptions()).data
    layers, whole = target.layers(data), run(name, data)
    outputs = [cut for cut in layers.cuts if cut.gives_output]
    assert {cut.tensor for cut in outputs} == whole.keys() == set(order)
    for cut in outputs:
        assert np.array_equal(run_piece(name, layers, cut), whole[cut.tensor]), cut


@pytest.mark.parametrize("name", TARGETS)
def test_pieces_end_on_any_branch(name):
    target = targets.get(name)
    layers = target.layers(target.emit(graphs_of(NAMES, name)[1], target, EmitOptions()).data)
    for cut in layers.cuts:
        output = run_piece(name, layers, cut)
        assert (str(output.dtype), output.shape) == (cut.output.dtype, cut.output.shape), cut


def test_what_an_operator_gives_beside_its_first_tensor_is_a_cut_too():
    """Its second and third part lead to outputs, its first one to nothing."""
    text = """<ir_version: 10, opset_import: ["" : 21]>
    net (float[1, 6, 4, 4] x) => (float[1, 2, 4, 4] y, float[1, 2, 4, 4] z) {
      a, b, z = Split <axis: int = 1, num_outputs: int = 3> (x)
      y = Relu(b)
    }"""
    model, target = onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text)), targets.get("ort-fp32")
    layers = target.layers(target.emit(ir.from_proto(model), target, EmitOptions()).data)
    found = [(cut.operator, cut.tensor, cut.sources, cut.gives_output) for cut in layers.cuts]
    assert found == [("Split", "b", (), False), ("Split", "z", (), True), ("Relu", "y", (0,), True)]
    assert all(run_piece("ort-fp32", layers, cut).size == 32 for cut in layers.cuts)
