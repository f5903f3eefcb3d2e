"""Every file has one signature, by which an app reaches its inputs and outputs by name, in whatever order they lie."""

import io
import zipfile
from itertools import permutations
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from tflite_conformance.execute import emit_proto, run_emitted, stored_inputs
from tflite_conformance.net import Feeds, Net
from tflite_conformance.quantized import to_qdq

from edgekit.artifact import Contract
from edgekit.registry import Preprocess
from edgekit.target import Emitted, targets
from edgekit.targets.tflite.metadata import add_metadata
from edgekit.targets.tflite.run import load_interpreter

KINDS = ("scores", "map", "raised")
ORDERS = [order for count in (1, 2, 3) for order in permutations(KINDS, count)]
FILES = [
    *((name, None) for name in ("tflite-fp32", "tflite-fp16", "tflite-dynamic", "tflite-int16x8")),
    *(("tflite-int8", io) for io in ("int8", "uint8", "float32")),
]


def network(order: tuple[str, ...], dtype: str) -> tuple[onnx.ModelProto, Feeds]:
    """Scores of classes, a feature map, and the scores once more with one added: that one is made last."""
    net = Net()
    features = net.op("Relu", net.conv(net.input(1, 3, 8, 8), 3, 4, 3))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", features))
    scores = net.op("Gemm", pooled, net.weights(5, 4), net.weights(5), transB=1)
    found = {"scores": scores, "map": features, "raised": net.op("Add", scores, net.constant(np.ones((1, 5))))}
    model = net.model(*(found[kind] for kind in order))
    return (model if dtype == "float32" else to_qdq(model, net.feeds, dtype)), net.feeds


def emitted_for(order: tuple[str, ...], name: str, io: str | None) -> tuple[Emitted, list[NDArray[Any]]]:
    model, feeds = network(order, targets.get(name).scheme.activation)
    emitted = emit_proto(model, name, io)
    return emitted, stored_inputs(emitted, feeds)


def by_signature(emitted: Emitted, inputs: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What the file's only signature gives for inputs of these names."""
    feeds = {info.name: stored for info, stored in zip(emitted.inputs, inputs, strict=True)}
    found: dict[str, NDArray[Any]] = load_interpreter(emitted.data).get_signature_runner()(**feeds)
    return found


@pytest.mark.parametrize(("name", "io"), FILES)
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_the_signature_gives_every_output_by_the_name_that_is_announced(
    order: tuple[str, ...], name: str, io: str | None
) -> None:
    emitted, inputs = emitted_for(order, name, io)
    wanted = dict(zip((info.name for info in emitted.outputs), run_emitted(emitted, inputs), strict=True))
    found = by_signature(emitted, inputs)
    assert found.keys() == wanted.keys()
    for output, values in wanted.items():
        assert np.array_equal(found[output], values), output


@pytest.mark.parametrize(("name", "io"), FILES)
def test_it_is_the_only_one_and_names_what_the_contract_names(name: str, io: str | None) -> None:
    emitted, _ = emitted_for(KINDS, name, io)
    [(key, sides)] = load_interpreter(emitted.data).get_signature_list().items()
    assert key == "serving_default"
    assert sides["inputs"] == [info.name for info in emitted.inputs]
    assert sorted(sides["outputs"]) == sorted(info.name for info in emitted.outputs)


def test_it_stays_where_metadata_and_labels_are_added() -> None:
    emitted, inputs = emitted_for(("map", "scores"), "tflite-int8", None)
    contract = Contract(emitted.inputs, emitted.outputs, Preprocess(8, (8, 8)), (), tuple("abcde"))
    finished = add_metadata(emitted, contract, "net")
    with zipfile.ZipFile(io.BytesIO(finished.data)) as archive:
        assert archive.namelist() == ["labels.txt"]
    wanted, found = by_signature(emitted, inputs), by_signature(finished, inputs)
    assert found.keys() == wanted.keys() == {info.name for info in contract.outputs}
    assert all(np.array_equal(found[output], wanted[output]) for output in wanted)


def test_an_input_that_is_an_output_too_has_a_name_on_each_side() -> None:
    net = Net()
    source = net.input(1, 7)
    emitted = emit_proto(net.model(net.op("Identity", source), net.op("Relu", source)), "tflite-fp32")
    [fed] = net.feeds.values()
    through, positive = (by_signature(emitted, [fed])[info.name] for info in emitted.outputs)
    assert np.array_equal(through, fed)
    assert np.array_equal(positive, np.maximum(fed, 0))


def test_an_output_that_is_the_input_by_its_very_name_leaves_the_input_its_own() -> None:
    image, raised = (make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 7]) for name in ("image", "raised"))
    graph = make_graph([make_node("Relu", ["image"], ["raised"], name="relu")], "net", [image], [image, raised])
    emitted = emit_proto(make_model(graph, opset_imports=[make_opsetid("", 21)]), "tflite-fp32")
    [(_, sides)] = load_interpreter(emitted.data).get_signature_list().items()
    assert sides == {"inputs": ["image"], "outputs": ["image", "raised"]}
    fed = np.linspace(-1, 1, 7, dtype=np.float32)[None]
    found = by_signature(emitted, [fed])
    assert np.array_equal(found["image"], fed)
    assert np.array_equal(found["raised"], np.maximum(fed, 0))
