"""MediaPipe's own image classifier: what docs/android.md says of it is what it does with files of edgekit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgekit
from edgekit.targets.tflite.run import load_interpreter

pytestmark = pytest.mark.slow

# With what its modules import; numpy and flatbuffers are here already.
PACKAGES = ("mediapipe==1.2.3", "absl-py", "certifi", "cffi", "sounddevice", "opencv-python-headless", "matplotlib")
PACKAGES += ("contourpy", "cycler", "fonttools", "kiwisolver", "packaging", "pyparsing", "python-dateutil", "six")
PROGRAM = """
import json, sys
import mediapipe
from mediapipe.tasks.python import BaseOptions, vision
options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]))
try:
    with vision.ImageClassifier.create_from_options(options) as classifier:
        found = classifier.classify(mediapipe.Image.create_from_file(sys.argv[2])).classifications[0].categories
        print(json.dumps({"scores": {category.category_name: category.score for category in found}}))
except (ValueError, RuntimeError, NotImplementedError) as error:
    print(json.dumps({"refused": str(error)}))
"""
SIDE = 80  # of the bundled weights: nothing is resized, and only the numbers are looked at
GIVEN = {"io": "uint8", "fold_normalization": True}
CASES = {
    "tflite-int8 as it is": ("tflite-int8", {}, "Requested one of these types: uint8/float32, got INT8"),
    "tflite-fp16 as it is": ("tflite-fp16", {}, "Per-channel image normalization is not available"),
    "tflite-int8 as the document says": ("tflite-int8", GIVEN, ""),
    "tflite-fp16 as the document says": ("tflite-fp16", {"fold_normalization": True}, ""),
}


@pytest.fixture(scope="module")
def classify(tmp_path_factory):
    """A function: .tflite file, picture -> what MediaPipe says of it."""
    folder = tmp_path_factory.mktemp("mediapipe")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode:
        pytest.skip(f"pip cannot install {PACKAGES[0]}: {done.stderr.strip().splitlines()[-1:]}")

    def run(model: Path, picture: Path):
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        command = [sys.executable, "-c", PROGRAM, str(model), str(picture)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("picture") / "picture.png"
    smooth = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    Image.fromarray(smooth).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file)
    return file


@pytest.mark.parametrize("case", CASES)
def test_mediapipe_does_with_a_file_what_the_document_says(case, classify, picture, tmp_path, repository):
    target, choices, refusal = CASES[case]
    bundle = edgekit.export("mobilenet_v3_small", target=target, out=tmp_path, **choices).bundles[target]
    answer = classify(bundle / "model.tflite", picture)
    if refusal:
        assert refusal in answer["refused"]
        assert f'"{refusal.removesuffix(", got INT8")}"' in (repository / "docs/android.md").read_text()
        return
    labels = (bundle / "labels.txt").read_text().split()
    expected = dict(zip(labels, run_file(bundle / "model.tflite", picture), strict=True))
    assert answer["scores"] == pytest.approx(expected, abs=2e-3)


def run_file(file: Path, picture: Path) -> list[float]:
    """What the file gives for the raw pixels, dequantized."""
    interpreter = load_interpreter(file.read_bytes())
    [into], [out] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(into["index"], np.asarray(Image.open(picture)).astype(into["dtype"])[None])
    interpreter.invoke()
    values = interpreter.get_tensor(out["index"]).ravel().astype(np.float32)
    scale, zero_point = out["quantization"]
    return list((values - zero_point) * scale if scale else values)
