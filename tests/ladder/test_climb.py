"""The ladder stops at the first rung that gives what was asked for, and says what each gave."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edgekit.cli import main
from edgekit.errors import EdgekitError
from edgekit.images.folder import ImageFolder
from edgekit.ladder.climb import Receipt, Tried, meets, missed, receipt_row
from edgekit.ladder.judge import demand_of, without
from edgekit.quant.method import RUNGS
from edgekit.recipe import make_recipe

NET = """
from torch import nn, manual_seed


def make():
    manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8, padding=1), nn.ReLU6(),
        nn.Conv2d(8, 16, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
    )
"""


def recipe(**choices):
    return make_recipe(model="net", targets=("tflite-int8",), **choices)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Forty pictures in four class folders."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for index in range(40):
        place = folder / "abcd"[index % 4]
        place.mkdir(exist_ok=True)
        coarse = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(place / f"{index:02}.png")
    return folder


@pytest.fixture
def export(photographs, tmp_path, capsys):
    def run(*arguments):
        (tmp_path / "net.py").write_text(NET)
        (tmp_path / "labels.txt").write_text("a\nb\nc\nd\n")
        options = ["--input-size", "32", "--calibration", str(photographs), "--samples", "12", "--quiet", "--json"]
        labels = ["--labels", str(tmp_path / "labels.txt")]
        target = ["--target", "tflite-int8", "--out", str(tmp_path / "build")]
        code = main(["export", f"{tmp_path / 'net.py'}:make", *options, *labels, *target, *arguments])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_what_was_asked_for_in_words():
    assert demand_of(recipe()) == ""
    assert demand_of(recipe(min_sqnr=30)) == "SQNR of at least 30 dB"
    both = demand_of(recipe(max_drop=0.5, eval="images", min_agreement=96))
    assert both == "at most 0.5 points lost, at least 96 % of classes the same"


def test_every_demand_must_be_met():
    asked = recipe(max_drop=0.5, eval="images", min_agreement=96, min_sqnr=20)
    assert meets(asked, 0.5, 0.96, 20.0)
    for drop, agreement, sqnr_db in ((0.6, 0.96, 20.0), (0.5, 0.95, 20.0), (0.5, 0.96, 19.9), (None, 1.0, 50.0)):
        assert not meets(asked, drop, agreement, sqnr_db)


def test_a_drop_needs_labelled_images():
    with pytest.raises(EdgekitError, match="--eval DIR") as raised:
        recipe(max_drop=0.5)
    assert raised.value.code == "EK106"


def test_an_unknown_quality_is_refused():
    with pytest.raises(EdgekitError, match="EK106"):
        recipe(quality="perfect")


def test_the_first_rung_that_is_enough_is_taken(export):
    code, document = export("--min-sqnr", "5")
    (receipt,) = document["receipts"]
    assert code == 0
    assert [(line["rung"], line["met"]) for line in receipt["tried"]] == [("min-max", True)]
    assert receipt["demand"] == "SQNR of at least 5 dB"


def test_more_is_asked_for_and_a_dearer_rung_is_taken(export):
    _, document = export("--min-sqnr", "5")
    cheap = document["receipts"][0]["tried"][0]["sqnr_db"]
    code, document = export("--min-sqnr", str(cheap + 1.5))
    (receipt,) = document["receipts"]
    assert code == 0
    assert len(receipt["tried"]) > 1
    assert [line["met"] for line in receipt["tried"]] == [False] * (len(receipt["tried"]) - 1) + [True]
    assert receipt["tried"][-1]["sqnr_db"] >= cheap + 1.5


def test_operators_stay_in_float_where_no_rung_is_enough_and_are_listed(export, tmp_path):
    _, document = export("--min-sqnr", "500")
    plain = [float(row["SQNR"].split()[0]) for row in document["error"]["rows"][: len(RUNGS["int8"])]]
    code, document = export("--min-sqnr", str(max(plain) + 0.3))
    (receipt,) = document["receipts"]
    last = receipt["tried"][-1]
    assert code == 0
    assert last["rung"].startswith("mixed")
    assert {one["module"] for one in last["kept"]} <= {"0", "2", "4", "5", "7"}
    report = (tmp_path / "build" / "make" / "tflite-int8" / "report.html").read_text()
    assert "Kept in float32" in report
    assert last["sqnr_db"] >= max(plain) + 0.3


def test_what_no_rung_gives_is_an_error_with_all_that_were_tried(export, tmp_path):
    code, document = export("--min-sqnr", "500")
    error = document["error"]
    assert (code, error["code"]) == (1, "EK505")
    assert [row["rung"] for row in error["rows"]][: len(RUNGS["int8"])] == list(RUNGS["int8"])
    assert not (tmp_path / "build").exists()


def test_labelled_images_leave_calibration_images_out_and_are_listed(export, photographs, tmp_path):
    code, document = export("--eval", str(photographs), "--max-drop", "100")
    manifest = json.loads((tmp_path / "build" / "make" / "tflite-int8" / "manifest.json").read_text())
    calibrated, judged = manifest["calibration"]["names"], manifest["quantization"]["evaluation"]["names"]
    assert code == 0
    assert (len(calibrated), len(judged)) == (12, 28)
    assert not set(calibrated) & set(judged)
    assert document["receipts"][0]["tried"][0]["top1"] is not None
    assert any("left out" in warning for warning in document["warnings"])
    assert "p50_ms" not in manifest["quantization"]["receipt"]["tried"][0]


@pytest.mark.parametrize("quality", ["fast", "balanced", "best"])
def test_each_quality_gives_a_file(export, quality, tmp_path, capsys):
    code, document = export("--quality", quality)
    assert (code, document["receipts"]) == (0, [])
    folder = str(tmp_path / "build" / "make" / "tflite-int8")
    assert main(["diagnose", folder]) == 0
    assert f"quality {quality}" in capsys.readouterr().out
    assert main(["diagnose", folder, "--json", "--all"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"]


def quantization(tmp_path):
    return json.loads((tmp_path / "build" / "make" / "tflite-int8" / "manifest.json").read_text())["quantization"]


def test_a_named_method_is_what_is_done(export, tmp_path, capsys):
    code, document = export("--method", "adaround", "--keep-float", "7")
    assert (code, document["receipts"]) == (0, [])
    told = quantization(tmp_path)
    assert (told["quality"], told["method"]["name"], told["method"]["rounding"]) == (None, "adaround", "adaptive")
    assert [layer["module"] for layer in told["diagnosis"]["layers"] if layer["float32"]] == ["7"]
    assert len(told["method"]["keep_float"]) == 1
    assert main(["diagnose", str(tmp_path / "build" / "make" / "tflite-int8")]) == 0
    assert "method adaround" in capsys.readouterr().out
    report = (tmp_path / "build" / "make" / "tflite-int8" / "report.html").read_text()
    assert "Quantization: adaround" in report
    assert "In float32, as asked for: 7." in report


def test_a_named_method_is_the_only_rung(export):
    code, document = export("--method", "mse", "--min-sqnr", "5")
    (receipt,) = document["receipts"]
    assert (code, [(line["rung"], line["met"]) for line in receipt["tried"]]) == (0, [("mse", True)])
    code, document = export("--method", "mse", "--min-sqnr", "500")
    error = document["error"]
    assert (code, error["code"], [row["rung"] for row in error["rows"]]) == (1, "EK505", ["mse"])
    assert "the method mse of tflite-int8 does not give SQNR of at least 500 dB" in error["what"]
    assert "leave --method out" in error["fix"]


def test_a_table_of_knobs_is_called_own_and_is_told_knob_by_knob(export, tmp_path):
    (tmp_path / "own.toml").write_text('[method]\nbase = "adaround"\ncriterion = "percentile"\nkeep_float = ["0"]\n')
    _, document = export("--recipe", str(tmp_path / "own.toml"), "--min-sqnr", "5")
    (receipt,) = document["receipts"]
    told = quantization(tmp_path)["method"]
    assert (receipt["tried"][0]["rung"], receipt["keep_float"]) == ("own", ["0"])
    assert len(told.pop("keep_float")) == 1
    assert told == {
        "name": "own",
        "criterion": "percentile",
        "equalize": True,
        "expand": False,
        "rounding": "adaptive",
        "bias": "analytic",
    }


def test_modules_that_stay_in_float_do_so_on_every_rung_and_the_ladder_adds_to_them(export, tmp_path):
    _, document = export("--keep-float", "0", "--min-sqnr", "500")
    plain = [float(row["SQNR"].split()[0]) for row in document["error"]["rows"][: len(RUNGS["int8"])]]
    code, _ = export("--keep-float", "0", "--min-sqnr", str(max(plain) + 0.3))
    told = quantization(tmp_path)
    in_float = {layer["module"] for layer in told["diagnosis"]["layers"] if layer["float32"]}
    assert code == 0
    assert told["method"]["name"].startswith("mixed")
    assert "0" in in_float
    assert len(in_float) > 1


def test_a_float_bundle_has_nothing_to_diagnose(export, tmp_path, capsys):
    export("--target", "tflite-fp32")
    assert main(["diagnose", str(tmp_path / "build" / "make" / "tflite-fp32")]) == 2
    assert capsys.readouterr().err.startswith("EK204")
    assert main(["diagnose", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.startswith("EK102")


def test_images_are_left_out_by_their_bytes(photographs, tmp_path):
    everything = ImageFolder.open(photographs)
    assert without(everything, everything[::2]).names == everything.names[1::2]


def test_a_receipt_has_a_column_for_each_figure():
    line = Tried("mse", 80.0, 0.25, 0.96, 20.04, "", 1_500_000, 3.14159, 12.3, True)
    expected = ("mse", "80.00 %", "+0.25", "96.00 %", "20.0 dB", "1.50 MB", "3.14 ms", "12.3 s", "met")
    assert receipt_row(line) == expected
    assert receipt_row(replace(line, agreement=None))[3] == "-"
    assert receipt_row(replace(line, output="boxes"))[4] == "20.0 dB (boxes)"
    error = missed(Receipt("tflite-int8", "SQNR of at least 50 dB", "9 images", (line,)))
    assert (error.code, error.exit_code) == ("EK505", 1)
