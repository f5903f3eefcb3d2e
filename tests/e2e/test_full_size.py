"""Full-size networks: what the small ones of the other tests stand for."""

import json

import numpy as np
import pytest
from settled import Settled

from edgekit.bundle.files import read_bundle
from edgekit.cli import main
from edgekit.images.folder import ImageFolder
from edgekit.registry import Preprocess
from edgekit.target import targets
from edgekit.targets.tflite.delegate import delegation

pytestmark = pytest.mark.slow

INT8 = ("tflite-int8", "ort-int8")


@pytest.mark.parametrize(
    "name", ["mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "resnet18"]
)
def test_the_delegate_takes_the_whole_file_and_nothing_is_transposed(name):
    model = Settled.make(name)
    for target in ("tflite-fp32", "tflite-int8"):
        emitted = model.emit(target)
        found = delegation(emitted)
        assert (found.partitions, found.undelegated) == (1, ())
        assert "TRANSPOSE" not in emitted.operators


@pytest.fixture(scope="module")
def bundles(test_data, tmp_path_factory):
    """MobileNetV2 with its official weights, calibrated on even images."""
    out = tmp_path_factory.mktemp("mobilenet_v2")
    weights, images = test_data / "weights" / "mobilenet_v2-b0353104.pth", test_data / "images" / "imagenet1000"
    wanted = [word for name in ("tflite-fp32", *INT8) for word in ("--target", name)]
    arguments = ["--weights", str(weights), "--calibration", str(images), "--out", str(out), "--quiet"]
    assert main(["export", "mobilenet_v2", *arguments, *wanted]) == 0
    return out / "mobilenet_v2"


def test_int8_loses_at_most_a_point_and_a_half(bundles, test_data, capsys):
    images = test_data / "images"
    labels = ["--labels", str(images / "imagenet_synset_words.txt"), "--subset", "odd", "--quiet", "--json"]
    top1 = {}
    for name in ("tflite-fp32", *INT8):
        capsys.readouterr()
        assert main(["eval", str(bundles / name), "--data", str(images / "imagenet1000"), *labels]) == 0
        top1[name] = json.loads(capsys.readouterr().out)["top1"]["percent"]
    assert top1["tflite-fp32"] == pytest.approx(83.6, abs=0.3)
    assert all(top1[name] >= top1["tflite-fp32"] - 1.5 for name in INT8)


def test_both_int8_files_agree(bundles, test_data):
    bundle = read_bundle(bundles / "tflite-int8")
    folder = ImageFolder.open(str(test_data / "images" / "imagenet1000"))[1::2]
    runners = [targets.get(name).run(read_bundle(bundles / name).model_file) for name in INT8]
    assert bundle.preprocess.crop == (224, 224)
    scores = bundle.scores.name
    same = [np.equal(*(run(batch)[scores].argmax(1) for run in runners)) for batch in folder.batches(Preprocess(), 16)]
    assert np.concatenate(same).mean() >= 0.97
