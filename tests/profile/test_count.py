"""Counts of parameters and multiply-accumulates, against arithmetic by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgekit.profile import Counts, count
from edgekit.registry import models


def test_a_convolution_counts_kernel_times_channels_times_outputs():
    conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
    assert count(conv, (1, 3, 9, 7)) == Counts(8 * 3 * 3 * 3, 8 * 3 * 3 * 3 * 5 * 4)


def test_a_depthwise_convolution_counts_one_channel_per_output():
    conv = nn.Conv2d(16, 16, 5, padding=2, groups=16, bias=False)
    assert count(conv, (1, 16, 6, 6)) == Counts(16 * 25, 16 * 25 * 36)


def test_bias_is_a_parameter_and_no_mac():
    linear = nn.Linear(10, 4)
    assert count(linear, (1, 10)) == Counts(44, 40)


def test_norms_activations_and_pooling_cost_no_macs():
    module = nn.Sequential(nn.BatchNorm2d(4), nn.Hardswish(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1))
    assert count(module, (1, 4, 8, 8)) == Counts(8, 0)


def test_matrix_products_written_as_functions_count_like_layers():
    class Attention(nn.Module):
        def forward(self, x):
            return F.softmax(x @ x.transpose(1, 2), -1) @ x

    assert count(Attention(), (1, 6, 5)) == Counts(0, 2 * 6 * 6 * 5)


def test_a_shared_layer_counts_its_parameters_once_and_its_macs_each_time():
    layer = nn.Linear(6, 6, bias=False)
    assert count(nn.Sequential(layer, layer), (1, 6)) == Counts(36, 72)


def test_macs_grow_with_the_batch_and_parameters_do_not():
    conv = nn.Conv2d(3, 4, 1)
    one, four = count(conv, (1, 3, 5, 5)), count(conv, (4, 3, 5, 5))
    assert four == Counts(one.params, 4 * one.macs)


def test_the_module_stays_as_it_was():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout())
    module[2].eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    count(module, (1, 3, 4, 4))
    after = module.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert {value.device.type for value in after.values()} == {"cpu"}
    assert [part.training for part in module] == [True, True, False]


def test_a_module_in_training_is_counted_where_training_it_would_be_refused():
    with torch.device("meta"):
        module = models.get("mobilenet_v3_small").build()
    assert module.training
    assert count(module, (1, 3, 32, 32)).params == 2_542_856  # its last maps are single pixels
    assert module.training


def test_a_module_that_cannot_take_the_input_stays_in_training():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    with pytest.raises(RuntimeError):
        count(module, (1, 5, 4, 4))
    assert all(part.training for part in module.modules())
