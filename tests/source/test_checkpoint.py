"""Checkpoint files: what is read, what is unwrapped, and what is refused without running any of it."""

import hashlib
import pickle
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.source.checkpoint import file_sha256, read_state_dict

TENSORS = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.tensor([0.5, -1.0])}


def refused(path):
    with pytest.raises(EdgekitError) as raised:
        read_state_dict(path)
    assert str(path) in raised.value.where
    return raised.value


def equal(state, expected=TENSORS):
    return list(state) == list(expected) and all(torch.equal(state[key], expected[key]) for key in expected)


@pytest.mark.parametrize("suffix", ["pth", "pt", "th", "bin", "ckpt", "tar", "PTH"])
def test_torch_files_of_every_suffix_are_read_in_the_files_order(tmp_path, suffix):
    path = tmp_path / f"net.{suffix}"
    torch.save(OrderedDict(TENSORS), path)
    assert equal(read_state_dict(path))


def test_files_of_the_time_before_zip_archives_are_read(tmp_path):
    path = tmp_path / "old.pth"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=False)
    assert equal(read_state_dict(path))


def test_safetensors_hold_the_same_tensors(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file(TENSORS, path)
    state = read_state_dict(path)
    assert state.keys() == TENSORS.keys()
    assert all(torch.equal(state[key], TENSORS[key]) for key in state)


@pytest.mark.parametrize(
    "wrapped",
    [
        {"state_dict": TENSORS, "epoch": 3},
        {"model": TENSORS, "optimizer": {"lr": 0.1}},
        {"model": {"state_dict": TENSORS}},
        {"epoch": 1, "state_dict": {"model": TENSORS}},
    ],
    ids=["state_dict", "model", "model.state_dict", "state_dict.model"],
)
def test_the_wrappers_of_training_scripts_are_taken_off(tmp_path, wrapped):
    torch.save(wrapped, tmp_path / "net.pth")
    assert equal(read_state_dict(tmp_path / "net.pth"))


def test_the_moving_average_is_preferred_to_the_raw_weights(tmp_path):
    raw = {key: value + 1 for key, value in TENSORS.items()}
    torch.save({"state_dict": raw, "state_dict_ema": TENSORS}, tmp_path / "net.pth")
    assert equal(read_state_dict(tmp_path / "net.pth"))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_prefixes_of_wrapping_modules_are_taken_off_when_every_key_has_them(tmp_path, prefix):
    torch.save({"state_dict": {prefix + key: value for key, value in TENSORS.items()}}, tmp_path / "net.pth")
    assert equal(read_state_dict(tmp_path / "net.pth"))


def test_a_prefix_that_only_some_keys_have_is_part_of_their_names(tmp_path):
    mixed = {"module.weight": torch.ones(1), "weight": torch.zeros(1)}
    torch.save(mixed, tmp_path / "net.pth")
    assert equal(read_state_dict(tmp_path / "net.pth"), mixed)


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.98])
@pytest.mark.parametrize("name", ["net.pth", "old.pth", "net.safetensors"])
def test_a_truncated_file_is_unreadable(tmp_path, name, kept):
    path = tmp_path / name
    if name.endswith("safetensors"):
        save_file(TENSORS, path)
    else:
        torch.save(TENSORS, path, _use_new_zipfile_serialization=name == "net.pth")
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    error = refused(path)
    assert error.code == "EK102"
    assert "truncated" in error.fix


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_a_file_of_another_kind_is_unreadable(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"<html>404 not found</html>" * 40)
    assert refused(path).code == "EK102"


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    assert refused(tmp_path / "no.pth").what == "no such weights file"
    (tmp_path / "folder.pth").mkdir()
    assert refused(tmp_path / "folder.pth").what == "the weights are a folder, not a file"


def test_a_suffix_that_holds_no_weights_is_refused_with_those_that_do(tmp_path):
    path = tmp_path / "net.h5"
    path.write_bytes(b"x")
    error = refused(path)
    assert error.code == "EK106"
    assert ".safetensors" in error.fix


class Bomb:
    """Unpickling it would create a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("save", ["torch", "pickle"])
def test_a_pickle_with_code_is_refused_and_its_code_never_runs(tmp_path, save):
    path, trace = tmp_path / "evil.pth", tmp_path / "ran"
    if save == "torch":
        torch.save({"state_dict": TENSORS, "extra": Bomb(trace)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(trace), protocol=2))
    assert refused(path).code == "EK102"
    assert not trace.exists()


def test_a_whole_pickled_module_is_refused_by_the_name_of_its_class(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pth")
    error = refused(tmp_path / "whole.pth")
    assert error.code == "EK102"
    assert "torch.nn.modules.linear.Linear" in error.what
    assert "state_dict()" in error.fix


def test_a_torchscript_archive_is_named_as_what_it_is(tmp_path):
    path = tmp_path / "script.pt"
    archive = torch._C.PyTorchFileWriter(str(path))
    for name in ("constants.pkl", "data.pkl"):
        archive.write_record(name, b"x", 1)
    archive.write_end_of_file()
    error = refused(path)
    assert error.code == "EK103"
    assert "TorchScript" in error.what


@pytest.mark.parametrize(
    ("held", "named"),
    [({}, "nothing"), ([torch.ones(1)], "list"), ({"epoch": 3, "loss": 0.5}, "epoch, loss"), (torch.ones(2), "Tensor")],
)
def test_a_checkpoint_without_tensors_says_what_it_holds(tmp_path, held, named):
    torch.save(held, tmp_path / "net.pth")
    error = refused(tmp_path / "net.pth")
    assert error.code == "EK103"
    assert f"(found: {named})" in error.what


def test_the_hash_is_that_of_the_files_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc" * 100_000)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc" * 100_000).hexdigest()
