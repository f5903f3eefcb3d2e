"""Distilled calibration images against real ones."""

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

from edgekit.cli import main
from edgekit.images.folder import ImageFolder
from edgekit.ladder.data_free import compare_widths, split
from edgekit.ladder.judge import Judge
from edgekit.passes import prepare_integer, simplify
from edgekit.quant.quantizer import Quantizer

NET = """
from torch import nn, manual_seed


def make():
    manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16),
        nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
    )
"""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Twenty pictures in four class folders."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for index in range(20):
        place = folder / "abcd"[index % 4]
        place.mkdir(exist_ok=True)
        coarse = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((24, 24), Image.Resampling.BICUBIC).save(place / f"{index:02}.png")
    return folder


@pytest.fixture
def export(photographs, tmp_path, capsys):
    def run(*arguments):
        (tmp_path / "net.py").write_text(NET)
        (tmp_path / "labels.txt").write_text("a\nb\nc\nd\n")
        options = ["--input-size", "24", "--samples", "8", "--labels", str(tmp_path / "labels.txt")]
        target = ["--target", "ort-int8", "--out", str(tmp_path / "build"), "--quiet", "--json"]
        code = main(["export", f"{tmp_path / 'net.py'}:make", *options, *target, *arguments])
        return code, Path(json.loads(capsys.readouterr().out)["targets"][0]["bundle"])

    return run


def test_both_are_measured_on_images_that_neither_saw(export, photographs):
    code, bundle = export("--calibration", "distill", "--eval", str(photographs))
    assert code == 0
    compared = json.loads((bundle / "manifest.json").read_text())["quantization"]["data_free"]
    assert [line["rung"] for line in compared["tried"]] == ["distilled images", "10 real images"]
    assert compared["images"] == "10 labelled images"
    assert all(line["sqnr_db"] > 10 and line["top1"] is not None for line in compared["tried"])
    low, middle, high = compared["widths"]
    assert 0 < low <= middle <= high
    report = (bundle / "report.html").read_text()
    assert "10 real images" in report
    assert f"{middle:.2f} times as far" in report


def test_real_calibration_images_are_compared_with_nothing(export, photographs):
    code, bundle = export("--calibration", str(photographs), "--eval", str(photographs))
    assert code == 0
    assert json.loads((bundle / "manifest.json").read_text())["quantization"]["data_free"] is None


def test_the_images_to_calibrate_on_are_not_measured_on(photographs):
    folder = ImageFolder.open(photographs)
    reference = np.arange(20.0, dtype=np.float32)[:, None]
    real, rest = split(Judge("all", {"y": reference}, "y", folder, labels=np.arange(20)), 5)
    assert len(real) == 5
    assert rest.description == "15 labelled images"
    assert not set(real.names) & set(rest.folder.names)
    assert [folder.names[index] for index in rest.labels] == list(rest.folder.names)
    assert rest.reference["y"][:, 0].tolist() == rest.labels.tolist()


def test_a_graph_whose_activations_never_vary_has_nothing_to_compare():
    """Its only activation, the input, has one value on every image."""
    graph = ir.serde.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21]> constant (float[1,3,8,8] input) => (float[1,3,8,8] output)
        { output = Mul (input, input) }"""
    )
    still = Quantizer(prepare_integer(simplify(graph)), lambda: iter([np.zeros((2, 3, 8, 8), np.float32)]))
    assert compare_widths(still, still) is None
