"""What helps where a hop failed: float hops never advise images."""

import pytest

from edgekit.artifact import Hop, OutputParity
from edgekit.target import targets
from edgekit.verify.causes import what_helps

IMAGES = "--calibration"


def failed(name, gate="SQNR 1.0 dB < 10.0 dB", lost=0):
    return Hop(name, "before", (OutputParity("y", 1.0, 1.0, 0.0, 1.0, lost=lost, gate=gate, passed=False),))


@pytest.mark.parametrize("target", ["ort-fp32", "tflite-fp16", "tflite-dynamic", "tflite-int8"])
@pytest.mark.parametrize("name", ["onnx", "simplified", "prepared"])
def test_images_do_not_help_where_nothing_was_calibrated(name, target):
    assert IMAGES not in what_helps(failed(name), targets.get(target))


@pytest.mark.parametrize("target", ["ort-fp32", "tflite-fp16", "tflite-dynamic"])
def test_a_float_file_is_not_mended_by_images(target):
    assert IMAGES not in what_helps(failed(target), targets.get(target))
    assert IMAGES not in what_helps(failed("end to end"), targets.get(target))


def test_quantization_is_helped_by_images_or_another_method():
    assert IMAGES in what_helps(failed("quantized"), targets.get("tflite-int8"))


def test_what_is_too_small_for_its_scale_is_kept_in_float():
    assert "--keep-float" in what_helps(failed("quantized", lost=3), targets.get("tflite-int8"))


def test_nan_has_a_cause_of_its_own():
    assert "NaN" in what_helps(failed("onnx", gate="NaN or infinite outputs 3 = 0"), targets.get("ort-fp32"))


def test_a_runtimes_own_hop_is_not_quantizations():
    assert "kernels" in what_helps(failed("tflite-int8"), targets.get("tflite-int8"))


def test_a_module_that_does_not_repeat_itself_is_no_fault_of_the_trace():
    helps = what_helps(failed("onnx"), targets.get("ort-fp32"), repeats=False)
    assert "run again" in helps
    assert "report" not in helps
