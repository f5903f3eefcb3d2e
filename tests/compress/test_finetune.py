"""Training what was compressed, with the whole model as the teacher."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from edgekit.cli import main
from edgekit.compress.choose import Plan
from edgekit.compress.finetune import tune
from edgekit.compress.opened import open_for_compression
from edgekit.compress.preparation import images_of, traced_of
from edgekit.compress.prune import prune
from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe
from edgekit.source import resolve
from edgekit.source.graph_module import GraphModule, with_weights_of
from edgekit.train.config import TrainConfig
from edgekit.train.fine_tune import fine_tune, load_data

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three classes that differ in colour."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for label, colour in enumerate(COLOURS):
        (folder / f"class{label}").mkdir()
        for number in range(20):
            pixels = np.clip(np.array(colour) + random.normal(0, 40, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{number}.png")
    return folder


def choices(classes=3):
    return {"model": "resnet20_cifar", "weights": "random", "num_classes": classes, "input_size": 16}


def distance(teacher, model, images):
    """Mean KL divergence of a graph's answers from the teacher's."""
    with torch.no_grad():
        wanted, given = (F.log_softmax(GraphModule(each)(images), 1) for each in (teacher, model))
    return float(F.kl_div(given, wanted, reduction="batchmean", log_target=True))


def test_training_brings_the_answers_nearer_to_those_of_the_whole_model(pictures, tmp_path):
    source = resolve(make_recipe(targets=("none",), **choices()))
    config = TrainConfig(
        model="resnet20_cifar", data=pictures, epochs=10, batch_size=9, learning_rate=0.003, augment="none", ema=0.0
    )
    data = load_data(config, source.preprocess, tmp_path)
    graph = open_for_compression(traced_of(source))
    before = with_weights_of(graph, fine_tune(GraphModule(graph), data, config))
    after = prune(before, Plan(0.3))
    tuned = tune(before, after, source, pictures, epochs=20, seed=0)
    images = torch.from_numpy(np.concatenate(images_of(str(pictures), 60, source)))
    assert tuned.whole > 60
    assert distance(before, tuned.model, images) < 0.7 * distance(before, after, images)
    for name, value in tuned.model.graph.initializers.items():
        assert value.const_value.shape == after.graph.initializers[name].const_value.shape


def test_images_of_other_classes_are_refused(pictures):
    source = resolve(make_recipe(targets=("none",), **choices(classes=5)))
    before = open_for_compression(traced_of(source))
    with pytest.raises(EdgekitError, match=r"EK109.*3 classes, the model 5"):
        tune(before, before, source, pictures, epochs=1, seed=0)


def test_the_command_tells_the_rungs(pictures, tmp_path, capsys):
    model = ["resnet20_cifar", "--weights", "random", "--num-classes", "3", "--input-size", "16"]
    more = ["--ratio", "0.3", "--finetune", str(pictures), "--epochs", "1", "--out", str(tmp_path / "out")]
    assert main(["compress", *model, *more]) == 0
    assert "after 1 epochs" in capsys.readouterr().out
