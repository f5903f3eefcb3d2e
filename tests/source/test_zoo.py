"""Zoo models: choosing weights, class counts, seeds, sizes."""

import hashlib
from dataclasses import replace

import pytest
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe
from edgekit.registry import ModelSpec, Preprocess, Weights, models
from edgekit.source import resolve
from edgekit.source.zoo import build, choose_weights, fetch, reference_preprocess

CIFAR = "resnet20_cifar"


def source(model, **choices):
    return resolve(make_recipe(model=model, targets=("t",), **choices))


def refused(code, call, *args, **choices):
    with pytest.raises(EdgekitError) as raised:
        call(*args, **choices)
    assert raised.value.code == code, raised.value
    return raised.value


def tiny(num_classes=1000, width=2):
    return nn.Sequential(nn.Conv2d(3, width, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))


def spec(**declared):
    return ModelSpec(
        **{"name": "tiny", "build": tiny, "input_shape": (3, 224, 224), "params": 0, "macs": 0, "paper": ""}
        | {"reference": ""}
        | declared
    )


def published(name, location="file.pth", classes=1000, **choices):
    return Weights(name, location, "ab12", Preprocess(**choices), num_classes=classes)


def test_a_model_is_never_silently_untrained():
    error = refused("EK104", choose_weights, spec(weights=(published("imagenet"),)), None)
    assert error.what == "tiny ships no weights of its own"
    assert error.fix == "choose --weights: imagenet, random, or a FILE (.pth, .pt, .safetensors)"


def test_bundled_weights_are_the_default_where_there_are_some():
    known = (published("bundled"), published("imagenet"))
    assert choose_weights(spec(weights=known), None) is known[0]
    assert choose_weights(spec(weights=known), "imagenet") is known[1]
    assert choose_weights(spec(weights=known), "random") == "random"


def test_an_unknown_name_of_weights_gets_a_near_miss():
    known = spec(weights=(published("imagenet"), published("imagenet-v1")))
    assert "imagenet" in refused("EK104", choose_weights, known, "imagnet").fix.split("did you mean ")[1]
    assert "choose --weights: imagenet, imagenet-v1, random" in refused("EK104", choose_weights, known, "zzz").fix


@pytest.mark.parametrize("name", ["imagenet", "bundled"])
def test_published_names_that_the_model_lacks_are_no_files(name):
    refused("EK104", choose_weights, spec(), name)


def test_anything_with_a_suffix_is_a_file():
    assert choose_weights(spec(), "folder/own.pth") == "folder/own.pth"
    assert refused("EK102", source, CIFAR, weights="no.pth").where == "no.pth"


def test_an_unknown_model_gets_a_near_miss():
    error = refused("EK101", source, "mobilenet_v3_smal", weights="random")
    assert "mobilenet_v3_small" in error.fix


def test_random_weights_are_decided_by_the_seed_alone():
    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    hashes = [source(CIFAR, weights="random", seed=seed).weights_sha256 for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_untrained_outputs_have_no_names():
    found = source(CIFAR, weights="random")
    assert (found.labels, found.preprocess.labels, found.weights) == ((), None, "random")
    assert (found.classes, found.input_shape) == (10, (1, 3, 32, 32))


def test_the_class_count_reaches_the_builder():
    assert source(CIFAR, weights="random", num_classes=7).classes == 7


def test_published_weights_cannot_have_another_class_count(tmp_path, test_data):
    file = test_data / "weights" / "mobilenet_v2-b0353104.pth"
    error = refused("EK106", source, "mobilenet_v2", weights=str(file), num_classes=10)
    assert error.what == "the weights 'imagenet-v1' have 1000 classes, not 10"
    assert error.where == "--num-classes"


def test_a_published_file_is_recognised_by_its_hash_under_any_name(tmp_path, test_data):
    copy = tmp_path / "renamed.pth"
    copy.symlink_to(test_data / "weights" / "mobilenet_v2-b0353104.pth")
    found = source("mobilenet_v2", weights=str(copy))
    assert (found.weights, found.classes) == ("renamed.pth", 1000)
    assert found.weights_sha256.startswith("b0353104")
    assert found.preprocess == models.get("mobilenet_v2").find_weights("imagenet-v1").preprocess


def test_the_classes_are_the_checkpoints_where_nobody_says_how_many(tmp_path):
    torch.save(models.get(CIFAR).build(num_classes=7).state_dict(), tmp_path / "own.pth")
    found = source(CIFAR, weights=str(tmp_path / "own.pth"))
    assert (found.classes, found.labels, found.notes) == (7, (), ("7 classes, as the checkpoint has",))
    assert source(CIFAR, weights=str(tmp_path / "own.pth"), num_classes=7).notes == ()


def test_a_checkpoint_of_other_classes_than_were_asked_for_is_refused(tmp_path):
    torch.save(models.get(CIFAR).build(num_classes=7).state_dict(), tmp_path / "own.pth")
    error = refused("EK103", source, CIFAR, weights=str(tmp_path / "own.pth"), num_classes=5)
    assert error.what == "the checkpoint has 7 classes, the model 5"
    assert error.fix == "add --num-classes 7"


def test_only_weights_that_nobody_published_have_an_assumed_preprocessing(tmp_path, test_data):
    torch.save(models.get(CIFAR).build(num_classes=7).state_dict(), tmp_path / "own.pth")
    assert source(CIFAR, weights=str(tmp_path / "own.pth")).assumed
    assert not source(
        CIFAR, weights=str(tmp_path / "own.pth"), preprocess={"mean": (0.5,) * 3, "std": (0.5,) * 3}
    ).assumed
    assert not source(CIFAR, weights=str(test_data / "weights" / "resnet20-12fca82f.th")).assumed


def test_real_cifar_weights_come_with_the_names_of_their_classes(test_data):
    file = test_data / "weights" / "resnet20-12fca82f.th"
    found = source(CIFAR, weights=str(file))
    assert found.labels[3] == "cat"
    assert found.weights_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_users_labels_must_count_as_many_as_the_model(tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join("abcdefghij"))
    assert source(CIFAR, weights="random", labels=labels).labels == tuple("abcdefghij")
    error = refused("EK109", source, CIFAR, weights="random", num_classes=7, labels=labels)
    assert error.what == "10 labels for a model with 7 classes"


def test_published_weights_are_downloaded_with_their_hash(server, cache):
    torch.save(tiny().state_dict(), path := cache.parent.parent / "file.pth")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    url = server.put("/file.pth", path.read_bytes())
    assert fetch(replace(published("imagenet", url), sha256=sha256[:10]), None) == cache / "file.pth"
    refused("EK105", fetch, replace(published("imagenet", server.put("/other.pth", b"x")), sha256=sha256), None)


def test_options_of_the_builder_are_checked():
    wide = build(tiny, make_recipe(model="tiny", targets=("t",), model_args={"width": 5}), 3, "tiny")
    assert wide[0].out_channels == 5
    recipe = make_recipe(model="tiny", targets=("t",), model_args={"depth": 5})
    assert refused("EK106", build, tiny, recipe, 3, "tiny").fix.endswith("options it takes: width")
    error = refused("EK106", source, "mobilenet_v3_small", weights="random", model_args={"width": -1.0})
    assert error.where == "model_args"


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("efficientnet", {"phi": 10000}),
        ("efficientnet", {"phi": -50}),
        ("shufflenet_v1_g3", {"stem": 300}),
        ("mobilenet_v2", {"width": 1e12}),
        ("densenet121", {"growth_rate": 4, "compression": 0.001}),
        (CIFAR, {}),
    ],
)
def test_a_network_that_cannot_be_made_is_a_message_whatever_it_ends_in(model, options):
    classes = None if options else 10**11
    error = refused("EK106", source, model, weights="random", model_args=options, num_classes=classes)
    assert "cannot be built" in error.what
    assert "\n" not in error.what


def test_a_form_for_other_images_brings_its_input_and_its_minimum():
    found = source("condensenet74_c4_g4", weights="random", model_args={"cifar_depth": 50})
    assert found.input_shape == (1, 3, 32, 32)
    assert found.preprocess.resize == 32
    small = source("condensenet74_c4_g4", weights="random", model_args={"cifar_depth": 50}, input_size="4")
    assert small.input_shape == (1, 3, 4, 4)


@pytest.mark.parametrize("model", ["mobilenet_v1", "mobilenet_v2", "efficientnet_lite0"])
def test_untrained_networks_of_depthwise_convolutions_still_tell_images_apart(model):
    module = source(model, weights="random", input_size="64").module
    with torch.no_grad():
        logits = module(torch.randn(4, 3, 64, 64))
    assert logits.std(0).mean() > 1e-4


def test_the_input_size_is_checked_before_anything_runs(monkeypatch):
    monkeypatch.setitem(models._items, CIFAR, replace(models.get(CIFAR), min_input=20))
    assert "--input-size 20" in refused("EK203", source, CIFAR, weights="random", input_size="64x19").fix
    assert source(CIFAR, weights="random", input_size="20x48").input_shape == (1, 3, 20, 48)


def test_a_builders_own_resolution_is_what_it_is_fed():
    found = source("mobilenet_v1", weights="random", model_args={"rho": 0.5714})
    assert found.input_shape == (1, 3, 128, 128)
    assert found.preprocess.crop == (128, 128)


def test_weights_that_nobody_published_are_fed_like_published_ones():
    known = (published("imagenet", resize=232), published("small", crop=(96, 96), resize=100))
    assert reference_preprocess(spec(weights=known), 1000) == known[0].preprocess
    assert reference_preprocess(spec(weights=known), 5) == replace(known[0].preprocess, labels=None)
    assert reference_preprocess(spec(), 5) == Preprocess(labels=None)
    small = reference_preprocess(spec(input_shape=(3, 32, 32)), 10)
    assert (small.resize, small.crop) == (32, (32, 32))
