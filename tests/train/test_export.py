"""What a finished run leaves: float16 weights, calibration images and a card, all of them or none."""

import hashlib
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from typer.main import get_command

from edgekit.cli import app
from edgekit.errors import EdgekitError
from edgekit.train import TrainConfig, export
from edgekit.train.data import load_images


@pytest.fixture
def config(class_folders, tmp_path):
    return TrainConfig(model="tiny", data=class_folders, out=tmp_path / "out", epochs=2, input_size=16, stored_size=12)


def tiny():
    torch.manual_seed(5)
    layers = [nn.Conv2d(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8, 3)).to(memory_format=torch.channels_last)


def write(config, model=None):
    images = load_images(config.data, config.stored_size)
    return export.write(config, export.round_to_float16(model or tiny()), images, images, 12.345)


def test_the_weights_load_back_as_they_were_measured(config):
    result = write(config)
    stored = load_file(result.weights)
    measured = export.round_to_float16(tiny()).state_dict()
    assert stored.keys() == measured.keys()
    for key, value in stored.items():
        assert value.dtype == (torch.int64 if key.endswith("num_batches_tracked") else torch.float16)
        assert torch.equal(value.to(measured[key].dtype), measured[key])
    assert not torch.equal(measured["4.weight"], tiny().state_dict()["4.weight"])


def test_the_card_says_what_was_measured_on_what(config):
    result = write(config)
    card = result.card.read_text()
    assert hashlib.sha256(result.weights.read_bytes()).hexdigest() == result.sha256
    assert f"`{result.sha256}`" in card
    assert f"{result.weights.stat().st_size:,} bytes" in card
    assert "| classes | dark, light, striped |" in card
    assert "12.35 % of 20 images" in card or "12.34 % of 20 images" in card
    assert str(config.data.parent) not in card  # no path of the machine


def test_calibration_images_are_a_hundred_pixel_images_of_the_input_size(config):
    write(config)
    with np.load(config.out / "tiny.calibration.npz") as archive:
        pixels = archive["pixels"]
    assert (pixels.shape, pixels.dtype) == ((100, 16, 16, 3), np.uint8)
    assert len(np.unique(pixels)) > 100


def test_the_same_run_leaves_the_same_bytes(config):
    runs = [replace(config, out=config.out / str(index)) for index in range(3)]
    for chosen in runs:
        write(chosen)
    for name in ("tiny.safetensors", "tiny.calibration.npz", "tiny.md"):
        assert len({(chosen.out / name).read_bytes() for chosen in runs}) == 1


def test_a_model_whose_calibration_fails_leaves_nothing(config):
    without_norm = nn.Sequential(nn.Conv2d(3, 3, 16), nn.Flatten())
    with pytest.raises(EdgekitError) as caught:
        write(config, without_norm)
    assert caught.value.code == "EK402"
    assert not config.out.exists()


def test_a_file_that_cannot_be_written_leaves_none_of_the_others(config):
    (config.out / "tiny.md.part").mkdir(parents=True)  # in the way of the card
    with pytest.raises(EdgekitError) as caught:
        write(config)
    assert caught.value.code == "EK702"
    assert caught.value.where == str(config.out / "tiny.md.part")
    assert [path.name for path in config.out.iterdir()] == ["tiny.md.part"]


def test_earlier_results_are_replaced_and_no_part_is_left(config):
    write(config)
    before = (config.out / "tiny.safetensors").read_bytes()
    other = tiny()
    nn.init.ones_(other[4].weight)
    write(config, other)
    assert (config.out / "tiny.safetensors").read_bytes() != before
    suffixes = ("calibration.npz", "labels.txt", "md", "safetensors", "toml")
    assert sorted(path.name for path in config.out.iterdir()) == [f"tiny.{suffix}" for suffix in suffixes]


def parsed(config):
    """What `edgekit train` understands of the card's command line."""
    program, name, *arguments = shlex.split(export.command(config))
    command = get_command(app).commands[name]
    assert program == "edgekit"
    return command.make_context(name, arguments).params


def test_the_command_of_the_card_repeats_the_run():
    chosen = {"epochs": 3, "batch_size": 7, "input_size": 40, "start_size": 20, "stored_size": 10, "seed": 5}
    config = TrainConfig("resnet20_cifar", Path("some where/data.zip"), Path("eval"), learning_rate=0.0125, **chosen)
    found = parsed(config)
    assert (found["model"], found["data"], found["evaluation"]) == ("resnet20_cifar", Path("data.zip"), Path("eval"))
    assert found["learning_rate"] == 0.0125
    assert {name: found[name] for name in chosen} == chosen


def test_the_command_of_the_card_is_short_where_nothing_was_chosen():
    assert export.command(TrainConfig("mobilenet_v2", Path("data"))) == (
        "edgekit train mobilenet_v2 --data data --epochs 48 --input-size 64 --seed 0"
    )
