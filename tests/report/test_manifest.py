"""manifest.json: all that decided a file's bytes, and no time or path of the machine."""

import json
import math
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgekit.artifact import Artifact, Contract, Hop, OutputParity, ParityReport, hop_document
from edgekit.bundle.write import as_json
from edgekit.inputs.choose import Inputs
from edgekit.passes import FOR_INTEGERS, SIMPLIFY
from edgekit.recipe import make_recipe
from edgekit.registry import Preprocess
from edgekit.report.manifest import file_name, make_manifest, recipe_document
from edgekit.run import Floats, Images, Run
from edgekit.source import Source
from edgekit.target import Delegation, Emitted, Undelegated

GRAPH = ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 21}, name="g"), ir_version=10)


def hop(name, reference, max_abs, spread, cosine, sqnr_db, agreement, gate="", passed=True):
    figures = (max_abs, spread, cosine, sqnr_db, agreement)
    return Hop(name, reference, (OutputParity("output", *figures, gate=gate, passed=passed),))


HOP = hop("tflite-int8", "quantized", 0.5, 10.0, 0.999, 30.0, 1.0, "SQNR 30.0 dB >= 10.0 dB", True)


def artifact(target="tflite-int8", hops=(HOP,), delegation=None, min_runtime=""):
    emitted = Emitted(b"data", (), (), {"CONV_2D": 3}, min_runtime=min_runtime)
    nothing = np.zeros((1, 2), np.float32)
    contract = Contract((), (), Preprocess(), ())
    return Artifact(target, emitted, contract, ParityReport(hops, 16, "noise"), nothing, {}, {}, delegation)


def run(folder="/home/someone", **choices):
    recipe = make_recipe(
        **{
            "model": f"{folder}/net.py:make",
            "targets": ("tflite-int8",),
            "weights": f"{folder}/own.pth",
            "calibration": f"{folder}/images",
            "labels": Path(folder) / "labels.txt",
            "out": Path(folder) / "build",
            "seed": 7,
            **choices,
        }
    )
    source = Source("make", None, GRAPH, (1, 3, 16, 12), Preprocess(), f"{folder}/own.pth", "ab" * 32, ())
    floats = Floats(source, Preprocess(), GRAPH, GRAPH, tuple(each.__name__ for each in SIMPLIFY))
    images = Inputs("calibration images", "cd" * 32, 40, lambda: iter(()))
    return Run(recipe, floats, Images(images, images, np.zeros((1, 3, 16, 12), np.float32)), {}, ())


def test_everything_that_decided_the_bytes_is_in_it():
    made = make_manifest(run(), artifact())
    assert (made["model"], made["target"], made["model_file"]) == ("make", "tflite-int8", "model.tflite")
    assert (made["seed"], made["input_shape"]) == (7, [1, 3, 16, 12])
    assert made["weights"] == {"name": "own.pth", "sha256": "ab" * 32}
    assert made["notes"] == []
    assert made["calibration"] == {"images": 40, "description": "calibration images", "sha256": "cd" * 32}
    assert made["scheme"] == {"weight": "int8", "activation": "int8"}
    assert made["passes"] == [each.__name__ for each in (*SIMPLIFY, *FOR_INTEGERS)]
    assert made["operators"] == {"CONV_2D": 3}
    assert made["recipe"]["samples"] == 100
    assert {"python", "edgekit", "torch", "onnx", "numpy"} <= made["versions"].keys()


def test_no_path_of_the_machine_and_no_time_is_in_it():
    text = as_json(make_manifest(run("/home/someone/secret"), artifact())).decode()
    assert "secret" not in text
    assert "/home" not in text
    assert str(Path.cwd()) not in text
    assert '"out"' not in text


def test_the_same_recipe_gives_the_same_manifest_anywhere():
    first, second = (as_json(make_manifest(run(folder), artifact())) for folder in ("/home/a", "/other/place/b"))
    assert first == second


def test_a_float_target_has_no_calibration_and_no_integer_passes():
    made = make_manifest(run(), artifact("ort-fp32"))
    assert made["calibration"] is None
    assert made["passes"] == [each.__name__ for each in SIMPLIFY]
    assert made["model_file"] == "model.onnx"


def test_the_files_own_oldest_runtime_goes_before_the_targets():
    assert make_manifest(run(), artifact(min_runtime="2.5.0"))["min_runtime"] == "2.5.0"
    assert make_manifest(run(), artifact())["min_runtime"]


def test_parity_is_told_hop_by_hop():
    bad = hop("file", "torch", math.inf, 0.0, 0.0, -math.inf, 0.0, "NaN or infinite outputs 3 = 0", False)
    parity = make_manifest(run(), artifact(hops=(HOP, bad)))["parity"]
    assert (parity["passed"], parity["images"], parity["inputs"]) == (False, 16, "noise")
    assert [hop["name"] for hop in parity["hops"]] == ["tflite-int8", "file"]
    assert make_manifest(run(), artifact())["parity"]["passed"]


@pytest.mark.parametrize(
    "found",
    [
        hop("a", "b", 0.0, 1.0, 1.0, math.inf, 1.0),
        hop("a", "b", math.inf, 0.0, 0.0, -math.inf, 0.0, "shape (2,) = (3,)", False),
    ],
    ids=["equal outputs", "outputs that cannot be compared"],
)
def test_json_holds_no_infinity(found):
    document = hop_document(found)
    assert document["sqnr_db"] is None
    json.dumps(document, allow_nan=False)


def test_the_manifest_of_a_failed_gate_is_json_that_every_reader_accepts():
    bad = hop("file", "torch", math.inf, 0.0, 0.0, -math.inf, 0.0, "NaN", False)
    text = as_json(make_manifest(run(), artifact(hops=(bad,)))).decode()
    assert "Infinity" not in text
    assert "NaN" not in text.replace('"NaN"', "")


def test_nodes_that_fall_out_of_the_delegate_are_listed():
    out = Undelegated("GELU", "blocks.0", "no kernel", "use ReLU")
    made = make_manifest(run(), artifact(delegation=Delegation("XNNPACK", 2, (out,))))["delegation"]
    assert made["partitions"] == 2
    assert made["undelegated"] == (
        {"operator": "GELU", "module": "blocks.0", "reason": "no kernel", "fix": "use ReLU"},
    )
    assert make_manifest(run(), artifact())["delegation"] is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../data/net.pth", "net.pth"),
        ("a/net.py:make", "net.py:make"),
        ("mobilenet_v2", "mobilenet_v2"),
        ("timm:hf-hub:org/name", "timm:hf-hub:org/name"),
        ("random", "random"),
        ("distill", "distill"),
        ("images/", "images"),
        ("..", ".."),
    ],
)
def test_files_are_known_by_name(text, name):
    assert file_name(text) == name


def test_a_recipe_can_be_made_again_from_its_document():
    document = recipe_document(run().recipe)
    again = make_recipe(**{key: value for key, value in document.items() if value is not None})
    assert recipe_document(again) == document
