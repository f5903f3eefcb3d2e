"""Training what was compressed, with the whole model as the teacher."""

import numpy as np
import pytest
from PIL import Image

from edgekit.cli import main
from edgekit.compress.choose import Plan
from edgekit.compress.finetune import tune
from edgekit.compress.opened import open_for_compression
from edgekit.compress.preparation import traced_of
from edgekit.compress.prune import prune
from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe
from edgekit.source import resolve

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


def test_training_changes_the_weights_and_measures_every_rung(pictures):
    source = resolve(make_recipe(targets=("none",), **choices()))
    before = open_for_compression(traced_of(source))
    after = prune(before, Plan(0.5))
    tuned = tune(before, after, source, pictures, epochs=4, seed=0)
    assert tuned.tuned > 60
    for name, value in tuned.model.graph.initializers.items():
        assert value.const_value.shape == after.graph.initializers[name].const_value.shape
    weights = [n for n in after.graph.initializers if n.endswith("conv1.weight")]
    changed = [
        not np.array_equal(m.const_value.numpy(), after.graph.initializers[n].const_value.numpy())
        for n in weights
        for m in [tuned.model.graph.initializers[n]]
    ]
    assert all(changed)


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
