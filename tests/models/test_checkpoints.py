"""Trained files of the reference implementations, put into our models."""

import itertools

import numpy as np
import pytest
import torch

from edgekit.images.folder import ImageFolder
from edgekit.models._blocks import make_divisible
from edgekit.models.resnet import CifarResNet, SubsampleAndPad
from edgekit.registry import models
from edgekit.source.checkpoint import file_sha256, read_checkpoint
from edgekit.source.weights import load_weights

FILES = {
    "resnet20_cifar": "resnet20-12fca82f.th",
    "resnet32_cifar": "resnet32-d509ac18.th",
    "mobilenet_v2": "mobilenet_v2-b0353104.pth",
}


@pytest.fixture(scope="module", params=FILES)
def trained(request, test_data):
    """(record of the weights, model that holds them)."""
    path = test_data / "weights" / FILES[request.param]
    spec = models.get(request.param)
    record = next(weights for weights in spec.weights if weights.location.endswith(path.name))
    assert file_sha256(path).startswith(record.sha256)
    module = spec.build(num_classes=record.num_classes).eval()
    load_weights(module, read_checkpoint(path).tensors, path.name)
    return record, module, read_checkpoint(path).tensors


def test_every_tensor_of_a_trained_file_arrives(trained):
    _, module, state = trained
    held = [value for key, value in module.state_dict().items() if "num_batches_tracked" not in key]
    given = [value for key, value in state.items() if "num_batches_tracked" not in key]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(held, given, strict=True))


def test_a_trained_file_classifies_images_as_well_as_its_authors_say(trained, test_data):
    record, module, _ = trained
    cifar = record.dataset == "CIFAR-10"
    folder = ImageFolder.open(test_data / "images" / ("cifar10/test.zip" if cifar else "imagenet1000"))
    every = slice(None, None, 50 if cifar else 40)
    labels = np.array(folder.labels() if cifar else range(len(folder)))[every]
    images = np.concatenate(list(folder[every].batches(record.preprocess, 100)))
    with torch.inference_mode():
        classes = module(torch.from_numpy(images)).argmax(1).numpy()
    # The copies of CIFAR are lossy JPEG, which costs a tenth; a wrong shortcut or padding costs far more.
    assert 100 * (classes == labels).mean() > record.top1 - 15


def test_option_a_takes_every_second_pixel_and_adds_zero_channels_on_both_sides():
    x = torch.arange(1.0, 1 + 2 * 3 * 5 * 4).view(2, 3, 5, 4)
    y = SubsampleAndPad(3, 8, 2)(x)
    assert y.shape == (2, 8, 3, 2)
    assert torch.equal(y[:, 2:5], x[:, :, [0, 2, 4]][..., [0, 2]])
    assert not y[:, :2].any()
    assert not y[:, 5:].any()


def test_option_a_has_no_parameters():
    assert not list(SubsampleAndPad(16, 32, 2).parameters())
    assert not [name for name, _ in CifarResNet(20, 10).named_parameters() if "downsample" in name]


def test_divisible_widths_are_multiples_and_never_a_tenth_too_narrow():
    for value, divisor in itertools.product(np.linspace(1, 400, 1597), (4, 8, 16)):
        rounded = make_divisible(value, divisor)
        assert rounded % divisor == 0
        assert rounded >= 0.9 * value
        assert rounded - value <= divisor


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 8), (11.9, 16), (12, 16), (16 * 0.35, 8), (33.6, 32), (35, 32), (36, 40), (44.8, 48)]
)
def test_divisible_widths_round_as_the_reference_does(value, expected):
    assert make_divisible(value) == expected
