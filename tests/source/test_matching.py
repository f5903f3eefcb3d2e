"""Checkpoints as training scripts write them: the model's tensors are found, whatever they lie in."""

import pytest
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.source.checkpoint import of_state, read_checkpoint
from edgekit.source.weights import load_weights


class Net(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.fc = nn.Linear(4, classes)

    def forward(self, x):
        return self.fc(self.layer1(self.bn1(self.conv1(x))).mean((2, 3)))


def net(fill=0.0, classes=5):
    torch.manual_seed(0)
    module = Net(classes).eval()
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(fill)
    return module


def state(prefix="", fill=0.0, classes=5):
    return {prefix + key: value for key, value in net(fill, classes).state_dict().items()}


def loaded(tmp_path, saved, fill=0.0, key=""):
    """The notes, after a module of other values has taken the checkpoint's."""
    torch.save(saved, tmp_path / "net.pth")
    module = net(fill=7.0)
    notes = load_weights(module, read_checkpoint(f"{tmp_path}/net.pth{key}"), "net.pth")
    for name, value in net(fill).state_dict().items():
        assert torch.equal(module.state_dict()[name], value), name
    return notes


def refused(module, saved):
    with pytest.raises(EdgekitError) as raised:
        load_weights(module, of_state(saved, "net.pth"), "net.pth")
    assert raised.value.code == "EK103"
    return raised.value


COUNT = len([key for key in state() if "num_batches" not in key])

FORMS = {
    "plain": (state(), ()),
    "DataParallel": (state("module."), (f"{COUNT} keys matched after removing 'module.'",)),
    "torch.compile": (state("_orig_mod."), (f"{COUNT} keys matched after removing '_orig_mod.'",)),
    "both": (state("module._orig_mod."), (f"{COUNT} keys matched after removing 'module._orig_mod.'",)),
    "PyTorch's tutorial": (
        {"epoch": 3, "model_state_dict": state(), "optimizer_state_dict": {}, "loss": 0.1},
        (f"{COUNT} keys matched in 'model_state_dict'",),
    ),
    "Lightning": (
        {"state_dict": {**state("model."), "criterion.weight": torch.ones(5)}, "hyper_parameters": {"lr": 0.1}},
        (
            f"{COUNT} keys matched in 'state_dict' after removing 'model.'",
            "left out: 'state_dict.criterion' (1 tensor)",
        ),
    ),
    "a loss beside the layers": (
        {**state(), "criterion.weight": torch.ones(5), "criterion.scale": torch.ones(1)},
        ("left out: 'criterion' (2 tensors)",),
    ),
    "AveragedModel": (
        {"n_averaged": torch.tensor(5), **state("module.")},
        (f"{COUNT} keys matched after removing 'module.'", "left out: 'n_averaged' (1 tensor)"),
    ),
    "deep": (
        {"a": [{"b": {"c": state("x.y.")}}]},
        (f"{COUNT} keys matched in 'a.0.b.c' after removing 'x.y.'",),
    ),
    "an optimizer that knows names": (
        {"model": state(), "optimizer": {"exp_avg": state(fill=3.0)}},
        (f"{COUNT} keys matched in 'model'", f"left out: 'optimizer' ({COUNT} tensors)"),
    ),
    "parts": (
        {
            "state_dict": {
                ("head." if key.startswith("fc") else "backbone.") + key: value for key, value in state().items()
            }
        },
        (f"{COUNT} keys matched in 'state_dict' after removing 'backbone.' and 'head.'",),
    ),
    "compiled inside": (
        {key.replace("layer1.", "layer1._orig_mod."): value for key, value in state().items()},
        (f"{COUNT} keys matched after removing '_orig_mod.'",),
    ),
    "a start without a dot": (
        {"state_dict": state("net_")},
        (f"{COUNT} keys matched in 'state_dict' after removing 'net_'",),
    ),
    "counted by thop": ({**state(), "total_ops": torch.zeros(1), "layer1.total_params": torch.zeros(1)}, ()),
    "a pickled module": ({"model": net(), "epoch": 1}, (f"{COUNT} keys matched in 'model'",)),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_models_tensors_are_found_and_how_is_told(tmp_path, form):
    saved, notes = FORMS[form]
    assert loaded(tmp_path, saved) == notes


@pytest.mark.parametrize(
    ("averaged", "raw"),
    [
        ("state_dict_ema", "state_dict"),
        ("model_ema", "model"),
        ("params_ema", "params"),
        ("ema", "net"),
        ("swa_model", "model"),
        ("teacher", "student"),
    ],
)
def test_the_moving_average_is_taken_and_the_raw_weights_can_be_asked_for(tmp_path, averaged, raw):
    saved = {raw: state(fill=1.0), averaged: {"n_averaged": torch.tensor(3), **state("module.")}}
    notes = loaded(tmp_path, saved)
    assert f"{COUNT} keys matched in {averaged!r} after removing 'module.'" in notes
    assert f"{raw!r} would fit too: --weights FILE#KEY takes it" in notes
    assert loaded(tmp_path, saved, fill=1.0, key=f"#{raw}") == ()


def test_two_that_differ_and_none_of_which_is_an_average_are_listed(tmp_path):
    error = refused(net(), {**state("generator."), **state("discriminator.", fill=1.0)})
    assert error.what == "the checkpoint holds several that fit: 'generator', 'discriminator'"
    assert error.fix == "choose one: --weights net.pth#generator or --weights net.pth#discriminator"


def test_two_that_are_equal_are_one(tmp_path):
    assert f"{COUNT} keys matched in 'last'" in loaded(tmp_path, {"last": state(), "best": state()})


def test_a_model_that_wraps_the_checkpoints_is_filled():
    wrapper = nn.ModuleDict({"backbone": net(fill=7.0)})
    notes = load_weights(wrapper, of_state(state(), "net.pth"), "net.pth")
    assert notes == (f"{COUNT} keys matched after adding 'backbone.'",)
    assert torch.equal(wrapper["backbone"].fc.weight, net().fc.weight)


def test_further_tensors_inside_a_layer_are_not_left_out():
    """A network with more in its blocks has the same names, and computes something else."""
    error = refused(net(), {**state(), "layer1.se.weight": torch.ones(4)})
    assert error.what.endswith("1 unexpected")


def test_further_layers_of_a_sequential_are_not_left_out():
    short, long = nn.Sequential(nn.Conv2d(3, 3, 1)), nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    assert refused(short, long.state_dict()).what.endswith("2 unexpected")


def test_what_is_missing_is_told_beside_what_was_found():
    saved = {f"state_dict.model.{key}": value for key, value in state().items() if not key.startswith("fc")}
    error = refused(net(), saved)
    assert error.what.endswith("2 missing")
    assert {row[0] for row in error.table.rows} == {"fc.weight", "fc.bias"}


def test_the_class_count_is_seen_behind_a_prefix():
    error = refused(net(), state("module.model.", classes=9))
    assert error.what == "the checkpoint has 9 classes, the model 5"


def test_a_single_layer_is_not_found_in_every_layer():
    layer = nn.Linear(4, 4)
    saved = {**layer.state_dict(), "loss.weight": torch.ones(4, 4), "loss.bias": torch.ones(4)}
    load_weights(layer, of_state(saved, "net.pth"), "net.pth")
    assert torch.equal(layer.weight, saved["weight"])


def test_tensors_of_another_form_are_told_where_the_model_needs_them(tmp_path):
    torch.save({**state(), "fc.weight": net().fc.weight.detach().to_sparse()}, tmp_path / "net.pth")
    with pytest.raises(EdgekitError) as raised:
        load_weights(net(), read_checkpoint(tmp_path / "net.pth"), "net.pth")
    assert raised.value.code == "EK103"
    assert "1 tensors of the checkpoint are sparse" in raised.value.what
    assert raised.value.table.rows == (("fc.weight", "sparse"),)
