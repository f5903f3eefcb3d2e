"""Checkpoints under other libraries' key names, filled with the values that the reference's golden logits belong to."""

import json
import re

import numpy as np
import pytest
import torch
from golden_vectors import TOLERANCE, deviation, read_keys, tensor_values
from safetensors.torch import save_file

from edgekit.errors import EdgekitError
from edgekit.registry import models
from edgekit.source.checkpoint import read_checkpoint
from edgekit.source.weights import load_weights

SAME_NETWORK = [
    ("mobilenet_v1", "timm/mobilenetv1_100"),
    ("mobilenet_v2", "torchvision/mobilenet_v2"),
    ("mobilenet_v2", "timm/mobilenetv2_100"),
    ("mobilenet_v3_small", "torchvision/mobilenet_v3_small"),
    ("mobilenet_v3_small", "timm/mobilenetv3_small_100"),
    ("mobilenet_v3_large", "timm/mobilenetv3_large_100"),
    ("resnet18", "torchvision/resnet18"),
    ("densenet121", "torchvision/densenet121"),
    ("dpn68", "pretrainedmodels/dpn68"),
    ("xception", "pretrainedmodels/xception"),
]


@pytest.fixture(scope="module")
def golden(reference):
    return json.loads((reference / "golden.json").read_text())


def checkpoint(reference, name):
    """The golden weights of a reference, under its own keys and in its own order."""
    listed = read_keys(reference, name)
    assert listed is not None
    return {entry.key: torch.from_numpy(tensor_values(entry)) for entry in listed if "num_batches" not in entry.key}


@pytest.mark.parametrize(("model", "name"), SAME_NETWORK)
def test_a_checkpoint_in_the_references_layout_gives_the_references_logits(reference, golden, model, name):
    module = models.get(model).build().eval()
    load_weights(module, checkpoint(reference, name), "net.pth")
    assert deviation(module, golden[name]) < TOLERANCE


def test_densenets_released_files_have_a_dot_that_the_module_has_not(reference, golden):
    dotted = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])")
    state = checkpoint(reference, "torchvision/densenet121")
    released = {dotted.sub(r"\1.\2", key): value for key, value in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.running_mean" in released
    module = models.get("densenet121").build().eval()
    load_weights(module, released, "densenet121-a639ec97.pth")
    assert deviation(module, golden["torchvision/densenet121"]) < TOLERANCE


@pytest.mark.parametrize("head", ["fc", "last_linear"])
def test_tensorflows_background_class_is_dropped(reference, golden, head):
    state = checkpoint(reference, "pretrainedmodels/nasnetamobile")
    weight, bias = state.pop("last_linear.weight"), state.pop("last_linear.bias")
    state[f"{head}.weight"] = torch.cat([torch.full((1, weight.shape[1]), 9.0), weight])
    state[f"{head}.bias"] = torch.cat([torch.full((1,), 9.0), bias])
    module = models.get("nasnet_mobile").build().eval()
    load_weights(module, state, "nasnetalarge-a1897284.pth")
    assert deviation(module, golden["pretrainedmodels/nasnetamobile"]) < TOLERANCE


def test_other_counts_of_classes_are_not_cut(reference):
    state = checkpoint(reference, "torchvision/resnet18")
    with pytest.raises(EdgekitError, match="1000 classes, the model 999"):
        load_weights(models.get("resnet18").build(num_classes=999), state, "net.pth")


def test_timms_order_is_found_again_in_a_file_that_sorts_by_name(reference, golden, tmp_path):
    save_file(checkpoint(reference, "timm/mobilenetv3_small_100"), tmp_path / "net.safetensors")
    state = read_checkpoint(tmp_path / "net.safetensors").tensors
    assert list(state) != list(checkpoint(reference, "timm/mobilenetv3_small_100"))
    module = models.get("mobilenet_v3_small").build().eval()
    load_weights(module, state, "net.safetensors")
    assert deviation(module, golden["timm/mobilenetv3_small_100"]) < TOLERANCE


def test_pytorchcvs_mobilenet_has_the_paper_activation_and_its_own_keys(reference, golden):
    module = models.get("mobilenet_v1").build(activation="relu").eval()
    load_weights(module, checkpoint(reference, "pytorchcv/mobilenet_w1"), "net.pth")
    assert deviation(module, golden["pytorchcv/mobilenet_w1"]) < TOLERANCE


def test_a_tensorflow_port_is_refused_though_every_shape_agrees(reference):
    module, state = models.get("mobilenet_v3_small").build(), checkpoint(reference, "timm/tf_mobilenetv3_small_100")
    with pytest.raises(EdgekitError) as raised:
        load_weights(module, state, "folder/tf_mobilenetv3_small_100.pth")
    assert raised.value.code == "EK103"


@pytest.mark.parametrize("name", ["timm/mobilenetv3_large_100", "timm/mobilenetv2_100", "torchvision/resnet18"])
def test_another_networks_checkpoint_is_refused(reference, name):
    with pytest.raises(EdgekitError) as raised:
        load_weights(models.get("mobilenet_v3_small").build(), checkpoint(reference, name), "net.pth")
    assert raised.value.code == "EK103"
    assert raised.value.table is not None


def test_renaming_by_position_needs_the_same_kinds_of_tensors_in_the_same_places(reference):
    state = checkpoint(reference, "timm/mobilenetv2_100")
    state["blocks.0.0.bn1.gamma"] = state.pop("blocks.0.0.bn1.weight")
    with pytest.raises(EdgekitError) as raised:
        load_weights(models.get("mobilenet_v2").build(), state, "net.pth")
    assert raised.value.code == "EK103"
    assert "missing" in raised.value.what
    assert "unexpected" in raised.value.what


def test_resnets_for_cifar_load_from_the_file_that_everyone_has(test_data):
    module = models.get("resnet20_cifar").build(num_classes=10).eval()
    checkpoint = read_checkpoint(test_data / "weights" / "resnet20-12fca82f.th")
    load_weights(module, checkpoint, "resnet20-12fca82f.th")
    assert torch.equal(module.fc.weight, checkpoint.tensors["state_dict.module.linear.weight"])
    assert np.isfinite(module(torch.zeros(1, 3, 32, 32)).detach().numpy()).all()
