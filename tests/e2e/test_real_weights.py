"""Published weights on real photographs: what their own authors' preprocessing gave on the same files."""

import json

import pytest

from edgekit.cli import main

pytestmark = pytest.mark.slow

CIFAR = "cifar10/test.zip"
IMAGENET = "imagenet1000"
CASES = [
    # model, weights, images, top-1 in percent measured with the reference preprocessing, and how exactly it is known
    ("mobilenet_v2", "mobilenet_v2-b0353104.pth", IMAGENET, 82.5, 0.3),
    ("resnet20_cifar", "resnet20-12fca82f.th", CIFAR, 81.0, 0.2),
    ("resnet32_cifar", "resnet32-d509ac18.th", CIFAR, 82.6, 0.2),
]


@pytest.mark.parametrize(("model", "weights", "images", "top1", "within"), CASES)
def test_eval_gives_the_accuracy_that_is_known(model, weights, images, top1, within, test_data, capsys):
    arguments = ["--weights", str(test_data / "weights" / weights), "--data", str(test_data / "images" / images)]
    if images == IMAGENET:
        arguments += ["--labels", str(test_data / "images" / "imagenet_synset_words.txt")]
    assert main(["eval", model, *arguments, "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["top1"]["percent"] == pytest.approx(top1, abs=within)
