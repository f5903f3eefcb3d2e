"""Trained ONNX files of other makers: half precision from Caffe2, PaddlePaddle's decomposed operators, a detector."""

import json

import pytest

from edgekit.cli import main

pytestmark = pytest.mark.slow

CAFFE = {"resize": 227, "crop": [224, 224], "mean": [0.408, 0.459, 0.482], "std": [1 / 255] * 3, "channel_order": "BGR"}
HALVES = {"resize": 192, "crop": [48, 192], "mean": [0.5] * 3, "std": [0.5] * 3, "channel_order": "BGR"}
PLAIN = {"resize": 352, "crop": [352, 352], "mean": [0.0] * 3, "std": [1.0] * 3, "channel_order": "BGR"}
FILES = {
    "squeezenet1_1-fp16": CAFFE,
    "ppocr_textdirection_mobilenet_v3": HALVES,
    "fastestdet_shufflenet_v2": PLAIN,
}
"""Name of the file -> what it is fed."""


@pytest.fixture
def export(test_data, tmp_path, capsys):
    """A function: name of the file -> (exit code, the JSON document)."""

    def run(name):
        recipe = tmp_path / "recipe.toml"
        lines = (f"{key} = {json.dumps(value)}" for key, value in FILES[name].items())
        recipe.write_text("\n".join(["[preprocess]", *lines]) + "\n")
        wanted = ["--target", "tflite-fp32", "--target", "tflite-int8", "--target", "ort-fp32", "--target", "ort-int8"]
        images = ["--calibration", str(test_data / "images" / "imagenet1000"), "--samples", "32"]
        options = ["--recipe", str(recipe), "--quiet", "--json", "--out", str(tmp_path / "out")]
        code = main(["export", str(test_data / "weights" / f"{name}.onnx"), *wanted, *images, *options])
        return code, json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("name", FILES)
def test_it_passes_the_gates_of_float_and_int8_files(name, export):
    code, document = export(name)
    failed = [(t["target"], hop) for t in document["targets"] for hop in t["parity"]["hops"] if not hop["passed"]]
    assert (code, document["error"], failed) == (0, None, [])
    delegation = {target["target"]: target["delegation"] for target in document["targets"] if target["delegation"]}
    assert delegation["tflite-fp32"] == {"delegate": "XNNPACK", "partitions": 1, "undelegated": []}
    # XNNPACK has no Softmax in int8; what comes behind it is another partition.
    assert {node["operator"] for node in delegation["tflite-int8"]["undelegated"]} <= {"SOFTMAX"}
    assert delegation["tflite-int8"]["partitions"] <= 2
