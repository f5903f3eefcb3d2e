"""Optimisers: which parameters decay, how rates grow with depth, and the average."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from edgekit.train.config import TrainConfig
from edgekit.train.optimizer import average, default_rate, make_optimizer, parameter_groups, set_rate

CONFIG = TrainConfig("net", Path("data"), learning_rate=0.1, weight_decay=0.01, layer_decay=1.0)


def net():
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.Conv2d(8, 16, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


def names_of(module, groups):
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return [{names[id(parameter)] for parameter in group["params"]} for group in groups]


def test_norms_biases_and_depthwise_filters_do_not_decay():
    module = net()
    groups = parameter_groups(module, 0.01)
    by_decay = dict(zip([group["weight_decay"] for group in groups], names_of(module, groups), strict=True))
    assert by_decay == {
        0.01: {"0.weight", "3.weight", "6.weight"},
        0.0: {"1.weight", "1.bias", "2.weight", "3.bias", "6.bias"},
    }


def test_every_parameter_is_in_one_group_also_where_two_modules_share_it():
    module = net()
    module.tied = nn.Linear(16, 3)
    module.tied.weight = module[6].weight
    found = [id(parameter) for group in parameter_groups(module, 0.01, 0.3) for parameter in group["params"]]
    assert sorted(found) == sorted(id(parameter) for parameter in module.parameters())


def test_rates_grow_with_depth_from_the_share_asked_for_to_one():
    module = net()
    groups = parameter_groups(module, 0.01, 0.25)
    shares = {
        name: group["share"] for group, names in zip(groups, names_of(module, groups), strict=True) for name in names
    }
    assert shares["0.weight"] == pytest.approx(0.25)
    assert shares["6.weight"] == shares["6.bias"] == 1
    order = [shares[name] for name, _ in module.named_parameters()]
    assert order == sorted(order)


@pytest.mark.parametrize(("name", "kind"), [("sgd", "SGD"), ("rmsprop", "RMSprop"), ("adamw", "AdamW")])
def test_each_optimiser_learns_and_takes_the_rate_of_the_step(name, kind):
    module = net()
    optimizer = make_optimizer(module, replace(CONFIG, optimizer=name, layer_decay=0.5))
    assert type(optimizer).__name__ == kind
    set_rate(optimizer, 0.02)
    assert {group["lr"] for group in optimizer.param_groups} == {
        0.02 * group["share"] for group in optimizer.param_groups
    }
    images, labels = torch.randn(16, 3, 9, 9), torch.arange(16) % 3
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(module(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_sgd_is_nesterovs():
    group = make_optimizer(net(), replace(CONFIG, optimizer="sgd")).param_groups[0]
    assert group["nesterov"]
    assert group["momentum"] == 0.9


def test_default_rates_follow_the_batch_and_are_smaller_for_trained_weights():
    assert default_rate(replace(CONFIG, optimizer="sgd", batch_size=512), net()) == 0.2
    assert default_rate(replace(CONFIG, optimizer="adamw", batch_size=64), net()) == 0.0015
    assert default_rate(replace(CONFIG, optimizer="adamw", batch_size=256, weights="imagenet"), net()) == 0.0006


def test_the_default_rate_is_smaller_for_nets_without_norms():
    assert default_rate(replace(CONFIG, optimizer="sgd", batch_size=256), nn.Sequential(nn.Linear(2, 2))) == 0.01


def test_the_average_follows_weights_and_statistics():
    module = net()
    kept = copy.deepcopy(module).requires_grad_(False)
    with torch.no_grad():
        module[0].weight.add_(1)
    module[1].running_mean.fill_(2.0)
    module[1].num_batches_tracked.fill_(7)
    before = kept[0].weight.clone()
    average(kept, module, 0.75)
    assert torch.allclose(kept[0].weight, before + 0.25)
    assert torch.allclose(kept[1].running_mean, torch.full((8,), 0.5))
    assert int(kept[1].num_batches_tracked) == 7
