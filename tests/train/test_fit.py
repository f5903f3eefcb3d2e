"""A run from its choices to its folder: what is written, going on, and starting from weights."""

import csv
import tomllib

import pytest
import torch
from safetensors.torch import load_file

from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe
from edgekit.source import resolve
from edgekit.train import checkpoint
from edgekit.train.choices import chosen
from edgekit.train.config import make_config
from edgekit.train.fit import train
from edgekit.train.run import Quiet
from edgekit.train.workers import has_bfloat16

NET = """
import torch
from torch import nn

def tiny(num_classes=5, norm=True, width=8):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1, bias=not norm),
        nn.BatchNorm2d(width) if norm else nn.Identity(),
        nn.ReLU6(),
        nn.Conv2d(width, width, 3, 4, 1, groups=width, bias=False),
        nn.BatchNorm2d(width) if norm else nn.Identity(),
        nn.Dropout(0.3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, num_classes),
    )

def fixed():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 7))

def nans(num_classes=3):
    class Divide(nn.Module):
        def forward(self, x):
            return self.net(x) / (x.std() * 0 if self.training else 1)
        def __init__(self):
            super().__init__()
            self.net = tiny(num_classes)
    return Divide()
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.py"
    path.write_text(NET)
    return path


@pytest.fixture
def config(class_folders, tmp_path, net):
    """A function: options over three epochs of two batches -> the choices."""

    def make(**options):
        given = {"model": f"{net}:tiny", "data": class_folders, "out": tmp_path / "run", "epochs": 3}
        return make_config(**{**given, "batch_size": 8, "input_size": 16, "val_share": 0.2, **options})

    return make


class Heard(Quiet):
    def __init__(self):
        self.lines, self.stages = [], []

    def start(self, stage):
        self.stages.append(stage)

    def say(self, text):
        self.lines.append(text)


def weights_of(result):
    return load_file(result.folder / "weights.safetensors")


def rows_of(result):
    return list(csv.DictReader((result.folder / "metrics.csv").read_text().splitlines()))


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def test_a_run_leaves_a_folder_that_is_a_model(config, net):
    heard = Heard()
    result = train(config(), heard)
    names = {"recipe.toml", "checkpoint.pt", "metrics.csv", "report.html", "weights.safetensors"}
    names |= {"labels.txt", "calibration.npz", "card.md", "export.toml"}
    assert {path.name for path in result.folder.iterdir()} == names
    assert {"decode training images", "decode images to measure on", "epoch 1/3", "write the results"} <= {
        *heard.stages
    }

    source = resolve(make_recipe(model=str(result.folder), targets=("ort-fp32",)))
    assert (source.input_shape, source.classes, source.labels) == ((1, 3, 16, 16), 3, ("dark", "light", "striped"))
    assert source.weights_sha256 == result.sha256
    assert source.pictures == result.folder / "calibration.npz"
    assert not source.assumed
    stored = {key: value for key, value in weights_of(result).items() if "num_batches" not in key}
    assert all(torch.equal(source.module.state_dict()[key], value) for key, value in stored.items())
    assert source.preprocess.resize == 18  # pictures of 20 pixels: there is a margin to cut off

    saved = checkpoint.load(result.folder, {})
    assert (saved.epoch, saved.classes) == (3, ["dark", "light", "striped"])
    assert saved.feed["mean"] == source.preprocess.mean

    rows = rows_of(result)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(0 <= float(row["top1"]) <= 100 for row in rows)
    written = tomllib.loads((result.folder / "recipe.toml").read_text())
    assert written["model"] == f"{net}:tiny"
    assert None not in (written["learning_rate"], written["ema"], written["weight_decay"])
    card = (result.folder / "card.md").read_text()
    assert "| classes | dark, light, striped |" in card
    assert str(result.folder.parent) not in card
    page = (result.folder / "report.html").read_text()
    assert page.count("<svg") == 4
    assert "http" not in page


def test_three_epochs_equal_one_and_two_resumed_ones_bit_for_bit(config, tmp_path):
    mixing = {"mixup": 0.2, "cutmix": 0.5, "rand_augment": 5, "accumulate": 2, "optimizer": "rmsprop"}
    whole = train(config(**mixing), Quiet())
    other = config(**mixing, out=tmp_path / "other")

    class Stop(Quiet):
        def say(self, text):
            if text.startswith("epoch 1/"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(other, Stop())
    torch.manual_seed(99)  # another process has another state
    resumed = train(chosen({"model": str(tmp_path / "other"), "resume": True}), Quiet())
    assert equal(weights_of(whole), weights_of(resumed))
    assert whole.sha256 == resumed.sha256
    losses = [[row["loss"] for row in rows_of(r)] for r in (whole, resumed)]
    assert losses[0] == losses[1]


def test_the_seed_decides_a_run_and_a_recipe_repeats_it(config, tmp_path):
    first = train(config(), Quiet())
    again = train(chosen({"out": str(tmp_path / "again")}, first.folder / "recipe.toml"), Quiet())
    other = train(config(seed=1, out=tmp_path / "other"), Quiet())
    assert first.sha256 == again.sha256 != other.sha256


def test_accumulating_parts_is_the_same_step_without_norms(config, tmp_path):
    still = {"model_args": {"norm": False}, "ema": 0, "epochs": 2}
    whole = train(config(**still), Quiet())
    parts = train(config(**still, accumulate=4, out=tmp_path / "parts"), Quiet())
    for key, value in weights_of(whole).items():
        if "dropout" not in key:
            assert torch.allclose(value, weights_of(parts)[key], atol=0.05), key


def test_a_run_is_not_written_over_and_another_ones_checkpoint_is_refused(config):
    train(config(epochs=1), Quiet())
    with pytest.raises(EdgekitError) as caught:
        train(config(epochs=1), Quiet())
    assert (caught.value.code, "--resume" in caught.value.fix) == ("EK106", True)
    with pytest.raises(EdgekitError) as caught:
        train(config(epochs=1, seed=3, resume=True), Quiet())
    assert (caught.value.code, "seed (0, now 3)" in caught.value.what) == ("EK106", True)


def test_a_damaged_checkpoint_is_named_and_left(config):
    result = train(config(epochs=1), Quiet())
    (result.folder / "checkpoint.pt").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(EdgekitError) as caught:
        train(config(epochs=1, resume=True), Quiet())
    assert caught.value.code == "EK102"
    assert (result.folder / "checkpoint.pt").read_bytes() == b"PK\x03\x04 half a file"


def test_the_head_is_replaced_where_the_classes_differ_and_the_backbone_rests(config, net, tmp_path):
    torch.manual_seed(3)
    scope = {}
    exec(NET, scope)
    torch.save(scope["tiny"](5).state_dict(), tmp_path / "five.pth")
    begun = {"weights": str(tmp_path / "five.pth"), "freeze": 2, "epochs": 3, "ema": 0}

    class Stop(Heard):
        def say(self, text):
            if text.startswith("epoch 2/"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config(**begun), Stop())
    saved, given = checkpoint.load(tmp_path / "run", {}).model, torch.load(tmp_path / "five.pth")
    changed = {key for key, value in given.items() if not torch.equal(saved[key], value)} - {"8.weight", "8.bias"}
    assert not changed  # weights and statistics alike
    assert saved["8.weight"].shape == (3, 8)
    train(config(**begun, resume=True), Quiet())
    after = checkpoint.load(tmp_path / "run", {}).model
    assert not torch.equal(after["0.weight"], given["0.weight"])


def test_what_was_replaced_is_told(config, tmp_path):
    scope = {}
    exec(NET, scope)
    torch.save(scope["tiny"](5).state_dict(), tmp_path / "five.pth")
    heard = Heard()
    train(config(weights=str(tmp_path / "five.pth"), epochs=1), heard)
    assert "started from five.pth; new: 8.weight, 8.bias" in heard.lines


def test_there_is_nothing_to_freeze_for_where_the_head_is_kept(config, tmp_path):
    scope = {}
    exec(NET, scope)
    torch.save(scope["tiny"](3).state_dict(), tmp_path / "three.pth")
    with pytest.raises(EdgekitError) as caught:
        train(config(weights=str(tmp_path / "three.pth"), freeze=1), Quiet())
    assert (caught.value.code, caught.value.where) == ("EK106", "--freeze")
    heard = Heard()
    train(config(weights=str(tmp_path / "three.pth"), epochs=1), heard)
    assert "started from three.pth; its head is kept" in heard.lines


def test_weights_of_another_net_are_refused_before_anything_is_written(config, tmp_path):
    scope = {}
    exec(NET, scope)
    torch.save(scope["tiny"](3, width=12).state_dict(), tmp_path / "wide.pth")
    with pytest.raises(EdgekitError) as caught:
        train(config(weights=str(tmp_path / "wide.pth")), Quiet())
    assert caught.value.code == "EK103"
    assert not (tmp_path / "run").exists()


def test_a_net_of_its_own_number_of_classes_is_refused(config, net):
    with pytest.raises(EdgekitError) as caught:
        train(config(model=f"{net}:fixed"), Quiet())
    assert (caught.value.code, "7" in caught.value.what, "num_classes" in caught.value.fix) == ("EK109", True, True)


def test_a_loss_that_is_no_number_stops_and_keeps_batch_and_checkpoint(config, net, tmp_path):
    with pytest.raises(EdgekitError) as caught:
        train(config(model=f"{net}:nans", learning_rate=0.1), Quiet())
    assert caught.value.code == "EK506"
    assert "--learning-rate 0.025" in caught.value.fix
    kept = torch.load(tmp_path / "run" / "nan_batch.pt")
    assert (kept["images"].shape, kept["targets"].shape) == ((8, 3, 16, 16), (8,))


def test_half_of_the_bytes_for_float16_weights(config):
    result = train(config(half=True, epochs=1), Quiet())
    assert {value.dtype for value in weights_of(result).values()} == {torch.float16, torch.int64}


def test_small_images_are_trained_smaller_than_the_net_was_made_for(config):
    result = train(config(input_size=None, epochs=1), Quiet())
    assert tomllib.loads((result.folder / "recipe.toml").read_text())["input_size"] == [64, 64]
    source = resolve(make_recipe(model=str(result.folder), targets=("ort-fp32",)))
    assert source.preprocess.resize == 64  # pictures of 20 pixels are seen whole


def test_the_size_that_was_asked_for_is_trained_in_every_epoch(config):
    result = train(config(input_size=48, epochs=2), Quiet())
    assert [row["size"] for row in rows_of(result)] == ["48x48"] * 2


def test_bfloat16_learns_where_the_cpu_has_it_and_is_refused_where_not(config):
    if not has_bfloat16(torch.device("cpu")):
        with pytest.raises(EdgekitError) as caught:
            train(config(precision="bfloat16"), Quiet())
        assert caught.value.code == "EK106"
        return
    result = train(config(precision="bfloat16", epochs=1), Quiet())
    assert {value.dtype for value in weights_of(result).values()} == {torch.float32, torch.int64}
    assert torch.isfinite(weights_of(result)["8.weight"]).all()
