"""Every output of a model is named, proven and gated, whatever its place and whatever the forward returns."""

import json
from itertools import permutations

import numpy as np
import onnx
import outputs
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

import edgekit
from edgekit.bundle.files import read_bundle
from edgekit.cli import main
from edgekit.errors import EdgekitError
from edgekit.source.prepare import Preparation
from edgekit.target import Tolerance

BOTH = ("ort-fp32", "ort-int8", "tflite-fp32", "tflite-int8")
NAMES = ("boxes", "map", "scores")
ORDERS = ["-".join(order) for count in (2, 3) for order in permutations(NAMES, count)]


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """The user's file, and a folder of pictures beside it."""
    folder = tmp_path_factory.mktemp("net")
    (folder / "net.py").write_text(outputs.SOURCE)
    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    for index in range(8):
        coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((40, 40), Image.Resampling.BICUBIC).save(folder / "images" / f"{index}.png")
    return folder / "net.py"


@pytest.fixture
def export(net, tmp_path, capsys):
    """A function that exports `net.py:NAME` and returns (exit code, JSON document, folder of bundles)."""

    def run(name: str, *arguments: str, target=BOTH):
        options = ["--calibration", str(net.parent / "images"), "--input-size", "32", "--quiet", "--json"]
        chosen = [word for each in target for word in ("-t", each)]
        out = tmp_path / "build"
        code = main(["export", f"{net}:{name}", *options, *chosen, *arguments, "--out", str(out)])
        return code, json.loads(capsys.readouterr().out), out / name

    return run


def names_in_hops(document):
    return {
        tuple(output["output"] for output in hop["outputs"]) for t in document["targets"] for hop in t["parity"]["hops"]
    }


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_of_outputs_is_proven_by_name_on_both_runtimes(order, export):
    code, document, folder = export("make", "--model-arg", f"order={order}", "--model-arg", "kind=dict")
    names = tuple(order.split("-"))
    assert (code, names_in_hops(document)) == (0, {names})
    for target in BOTH:
        bundle = read_bundle(folder / target)
        assert tuple(bundle.outputs) == tuple(bundle.reference) == names
        assert [tensor.name for tensor in bundle.output_tensors] == list(names)
        assert {tensor.name: tensor.meaning for tensor in bundle.output_tensors} == {
            name: "scores" if name == "scores" else "values" for name in names
        }
        assert main(["verify", str(folder / target)]) == 0


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("tuple", ["output", "output_1"]),
        ("list", ["output", "output_1"]),
        ("dict", ["boxes", "scores"]),
        ("ordered", ["boxes", "scores"]),
        ("named", ["boxes", "scores"]),
        ("dataclass", ["boxes", "scores"]),
        ("none", ["output", "output_1"]),
        ("nested", ["output", "heads", "heads_1"]),
        ("twice", ["output", "output_1"]),
        ("input", ["output", "output_1"]),
    ],
)
def test_names_come_from_keys_and_fields_else_from_places(kind, names, export):
    code, document, folder = export("make", "--model-arg", f"kind={kind}", target=("ort-fp32", "tflite-fp32"))
    assert (code, names_in_hops(document)) == (0, {tuple(names)})
    graph = onnx.load(folder / "ort-fp32" / "model.onnx").graph
    assert [value.name for value in graph.output] == names
    interpreter = Interpreter(model_path=str(folder / "tflite-fp32" / "model.tflite"))
    assert [detail["name"] for detail in interpreter.get_output_details()] == names


def test_what_is_no_tensor_is_refused_by_its_type(export):
    code, document, _ = export("make", "--model-arg", "kind=text")
    assert (code, document["error"]["code"]) == (2, "EK201")
    assert "a str" in document["error"]["what"]


@pytest.mark.parametrize("order", ["scores-offsets", "offsets-scores"])
def test_a_ruined_output_fails_the_gate_by_its_name_wherever_it_stands(order, export):
    code, document, folder = export("ruined", "--model-arg", f"order={order}", target=("tflite-int8", "ort-int8"))
    assert (code, document["error"]["code"]) == (1, "EK501")
    assert all(row["gate"].startswith("offsets: SQNR") for row in document["error"]["rows"])
    assert not (folder / "tflite-int8").exists()
    assert "offsets" in (folder / "tflite-int8.failed" / "report.html").read_text()


def test_a_ruined_output_is_named_in_the_table(net, tmp_path, capsys):
    arguments = ["--calibration", str(net.parent / "images"), "--input-size", "32", "--quiet", "--out", str(tmp_path)]
    assert main(["export", f"{net}:ruined", "-t", "tflite-int8", *arguments]) == 1
    failed = next(line for line in capsys.readouterr().out.splitlines() if "FAIL" in line)
    assert failed.split()[3] == "offsets"


def test_the_scores_of_a_detector_live_beside_its_boxes(export):
    code, document, folder = export("detector", target=("tflite-int8", "ort-int8"))
    assert code == 0
    for target in document["targets"]:
        end = target["parity"]["hops"][-1]["outputs"][0]
        assert (end["channels"], end["lost"]) == (7, 0)
        bundle = read_bundle(folder / target["target"])
        scores, wanted = (values["output"][:, 4:] for values in (bundle.outputs, bundle.reference))
        assert np.abs(scores - wanted).max() < 0.1 < np.ptp(scores)


def test_a_model_without_classes_has_no_agreement(export):
    code, document, _ = export("make", "--model-arg", "order=map", target=("tflite-int8",))
    hops = document["targets"][0]["parity"]["hops"]
    assert code == 0
    assert {hop["agreement"] for hop in hops} == {None}


@pytest.mark.parametrize(
    "demand", [["--min-agreement", "90"], ["--max-drop", "1", "--eval", "IMAGES"], ["--eval", "IMAGES"]]
)
def test_classes_asked_of_a_model_without_any_are_refused_before_it_is_traced(demand, net, export):
    words = [word.replace("IMAGES", str(net.parent / "images")) for word in demand]
    code, document, _ = export("make", "--model-arg", "order=map", *words, target=("tflite-int8",))
    where = ", ".join(word for word in demand if word.startswith("--"))
    assert (code, document["error"]["code"], document["error"]["where"]) == (2, "EK302", where)
    assert "--min-sqnr" in document["error"]["fix"]


def test_the_worst_output_must_reach_what_was_asked_for(export):
    code, document, _ = export("make", "--model-arg", "kind=dict", "--min-sqnr", "20", target=("tflite-int8",))
    (receipt,) = document["receipts"]
    hop = document["targets"][0]["parity"]["hops"][-1]
    assert code == 0
    assert receipt["tried"][-1]["output"] == hop["output"]
    assert all(output["sqnr_db"] >= 20 for output in hop["outputs"])


def test_a_refused_target_costs_no_other(export):
    code, document, folder = export("odd", target=("tflite-fp32", "ort-fp32"))
    refused, made = document["targets"]
    assert (code, refused["error"]["code"], made["error"]) == (2, "EK301", None)
    assert made["bundle"] == str(folder / "ort-fp32")
    assert main(["verify", str(folder / "ort-fp32")]) == 0


def test_the_exit_code_is_the_worst_and_every_reason_is_told(net, tmp_path, capsys):
    options = ["--calibration", str(net.parent / "images"), "--input-size", "32", "--quiet", "--out", str(tmp_path)]
    assert main(["export", f"{net}:odd", "-t", "tflite-fp32", "-t", "tflite-int8", "-t", "ort-fp32", *options]) == 2
    said = capsys.readouterr()
    assert [line for line in said.out.splitlines() if "refused: EK301" in line][1].startswith("tflite-int8")
    assert said.err.count("EK301") == 2
    assert (tmp_path / "odd" / "ort-fp32" / "model.onnx").is_file()


def test_python_gets_the_run_with_what_failed(net, tmp_path):
    images = net.parent / "images"
    run = edgekit.export(f"{net}:ruined", target="tflite-int8", calibration=images, input_size=32, out=tmp_path)
    assert (list(run.failures), run.bundles, len(run.results)) == (["tflite-int8"], {}, 1)
    with pytest.raises(EdgekitError, match="EK501"):
        run.raise_for_failures()


def test_a_bundle_of_an_older_edgekit_says_export_again(export, capsys):
    _, _, folder = export("make", target=("ort-fp32",))
    manifest = folder / "ort-fp32" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 1'))
    assert main(["verify", str(folder / "ort-fp32")]) == 2
    assert "export it again" in capsys.readouterr().err


def halve(module: torch.nn.Module) -> torch.nn.Module:
    """A preparation that costs something: half of the weights' smallest values become zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter[parameter.abs() < parameter.abs().median() / 4] = 0
    return module


def prepared(net, tmp_path, gate):
    from edgekit import pipeline
    from edgekit.recipe import make_recipe

    recipe = make_recipe(model=f"{net}:make", targets=("tflite-fp32",), input_size=32, out=tmp_path)
    return pipeline.export(recipe, preparation=Preparation("halve", halve, gate))


def test_a_preparation_has_a_hop_of_its_own_and_the_original_stays_the_reference(net, tmp_path):
    run = prepared(net, tmp_path, Tolerance(min_sqnr_db=10))
    hops = run.artifacts["tflite-fp32"].parity.hops
    plain = edgekit.export(f"{net}:make", target="tflite-fp32", input_size=32, out=tmp_path / "plain")
    assert [(hop.reference, hop.name) for hop in hops[:2]] == [("original", "prepared"), ("prepared", "onnx")]
    assert (hops[-1].reference, hops[-1].name) == ("original", "end to end")
    assert 10 < hops[0].worst.sqnr_db < 60 < hops[1].worst.sqnr_db
    document = read_bundle(run.bundles["tflite-fp32"]).manifest
    assert document["prepared"] == "halve"
    assert document["traced_sha256"] != read_bundle(plain.bundles["tflite-fp32"]).manifest["traced_sha256"]


def test_a_preparation_that_costs_more_than_its_gate_fails_at_its_hop(net, tmp_path):
    run = prepared(net, tmp_path, Tolerance(min_sqnr_db=90))
    failed = run.artifacts["tflite-fp32"].parity.first_failure
    assert failed is not None
    assert (failed.reference, failed.name) == ("original", "prepared")


def test_brackets_in_names_and_folders_are_text_and_no_markup(net, tmp_path, capsys):
    images = np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype(np.float32)
    names, out = ("[/x]", "[bold]y[/bold]"), tmp_path / "[red]"
    taken = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 16, 16])
    given = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4, 16, 16]) for name in names]
    nodes = [
        onnx.helper.make_node("Conv", ["image", "weight"], ["[/x]"]),
        onnx.helper.make_node("Relu", ["[/x]"], ["[bold]y[/bold]"]),
    ]
    graph = onnx.helper.make_graph(nodes, "net", [taken], given, [onnx.numpy_helper.from_array(images, "weight")])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8),
        out.with_suffix(".onnx"),
    )
    arguments = ["--calibration", str(net.parent / "images"), "--quiet", "--out", str(out)]
    assert main(["export", str(out.with_suffix(".onnx")), "-t", "tflite-int8", *arguments]) == 0
    (bundle,) = out.glob("*/tflite-int8")
    assert main(["verify", str(bundle), "--quiet"]) == 0
    said = capsys.readouterr().out
    for text in (*names, str(bundle)):
        assert said.count(text) >= 2
