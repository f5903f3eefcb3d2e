"""A module in memory learns in place, and what comes back is its average."""

import torch
from torch import nn

from edgekit.registry import Preprocess
from edgekit.train.config import make_config
from edgekit.train.fine_tune import accuracy, fine_tune, load_data

FEED = Preprocess(16, (16, 16), mean=(0.5,) * 3, std=(0.25,) * 3, labels=None)


def net():
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8, 3))


def test_a_module_learns_to_tell_dark_from_light(class_folders, tmp_path):
    config = make_config(
        model="in memory", data=class_folders, eval=class_folders, epochs=30, batch_size=20, learning_rate=0.03
    )
    data = load_data(config, FEED, tmp_path)
    module = net()
    before, heard = accuracy(module, data), []
    state = torch.get_rng_state()
    kept = fine_tune(module, data, config, lambda done, total: heard.append((done, total)))
    assert accuracy(kept, data) > max(before, 80)
    assert not kept.training
    assert kept is not module
    assert heard[-1] == (20, 20)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_seed_decides_and_any_task_can_be_learned(class_folders, tmp_path):
    config = make_config(model="in memory", data=class_folders, epochs=1, batch_size=8, ema=0)
    data = load_data(config, FEED, tmp_path)

    class Zero:
        figure = "zero"

        def loss(self, outputs, batch):
            return (outputs**2).mean()

        def merit(self, outputs, batch):
            return -(outputs.double() ** 2).sum()

    one, other = (fine_tune(net(), data, config, task=Zero()).state_dict() for _ in range(2))
    assert all(torch.equal(value, other[key]) for key, value in one.items())
