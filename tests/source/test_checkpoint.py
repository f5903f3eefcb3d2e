"""Checkpoint files: what is read, what is unwrapped, and what is refused without running any of it."""

import hashlib
import os
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from edgekit.errors import EdgekitError
from edgekit.source.checkpoint import file_sha256, read_checkpoint

TENSORS = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.tensor([0.5, -1.0])}


def refused(path):
    with pytest.raises(EdgekitError) as raised:
        read_checkpoint(path)
    assert str(path) in raised.value.where
    return raised.value


def equal(state, expected=TENSORS):
    return list(state) == list(expected) and all(torch.equal(state[key], expected[key]) for key in expected)


@pytest.mark.parametrize("suffix", ["pth", "pt", "th", "bin", "ckpt", "tar", "PTH"])
def test_torch_files_of_every_suffix_are_read_in_the_files_order(tmp_path, suffix):
    path = tmp_path / f"net.{suffix}"
    torch.save(OrderedDict(TENSORS), path)
    assert equal(read_checkpoint(path).tensors)


def test_files_of_the_time_before_zip_archives_are_read(tmp_path):
    path = tmp_path / "old.pth"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=False)
    assert equal(read_checkpoint(path).tensors)


def test_safetensors_hold_the_same_tensors(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file(TENSORS, path)
    state = read_checkpoint(path).tensors
    assert state.keys() == TENSORS.keys()
    assert all(torch.equal(state[key], TENSORS[key]) for key in state)


def test_tensors_are_named_after_everything_that_they_lie_in(tmp_path):
    torch.save({"epoch": 3, "model": {"ema": TENSORS}, "loss": {"weight": torch.ones(2)}}, tmp_path / "net.pth")
    found = read_checkpoint(tmp_path / "net.pth")
    assert equal(found.tensors, {**{f"model.ema.{k}": v for k, v in TENSORS.items()}, "loss.weight": torch.ones(2)})
    assert set(found.folders) == {"", "model", "model.ema", "loss"}


def test_one_dictionary_of_a_file_can_be_named(tmp_path):
    torch.save({"a": TENSORS, "b": {"c": {"bias": torch.ones(1)}}}, tmp_path / "net.pth")
    assert equal(read_checkpoint(f"{tmp_path}/net.pth#a").tensors)
    assert list(read_checkpoint(f"{tmp_path}/net.pth#b.c").tensors) == ["bias"]
    with pytest.raises(EdgekitError) as raised:
        read_checkpoint(f"{tmp_path}/net.pth#other")
    assert raised.value.what == "the checkpoint holds no dictionary 'other'"
    assert "a, b, b.c" in raised.value.fix


def test_a_file_whose_own_name_has_a_number_sign_is_that_file(tmp_path):
    torch.save(TENSORS, tmp_path / "net#1.pth")
    assert equal(read_checkpoint(tmp_path / "net#1.pth").tensors)


def test_a_list_of_pairs_is_a_dictionary(tmp_path):
    torch.save(list(TENSORS.items()), tmp_path / "net.pth")
    assert equal(read_checkpoint(tmp_path / "net.pth").tensors)


@pytest.mark.parametrize("name", ["net.bin", "pytorch_model", "net.model"])
def test_safetensors_under_another_name_are_known_by_how_they_begin(tmp_path, name):
    save_file(TENSORS, tmp_path / name)
    assert read_checkpoint(tmp_path / name).tensors.keys() == TENSORS.keys()


def test_a_dictionary_that_holds_itself_is_read_once(tmp_path):
    around = {"weights": TENSORS}
    around["model"] = around
    torch.save(around, tmp_path / "net.pth")
    assert [k for k in read_checkpoint(tmp_path / "net.pth").tensors if "conv.bias" in k] == ["weights.conv.bias"]


def test_dictionaries_that_double_at_every_level_end(tmp_path):
    node = dict(TENSORS)
    for _ in range(60):
        node = {"a": node, "b": node}
    torch.save(node, tmp_path / "net.pth")
    with pytest.raises(EdgekitError):  # deeper than any training script nests
        read_checkpoint(tmp_path / "net.pth")


@pytest.mark.filterwarnings("ignore")  # torch's own, about what it will no longer have
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: torch.eye(2).to_sparse(), "sparse"),
        (lambda: torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.qint8), "quantized"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "nested"),
        (lambda: torch.ones(2, 3, device="meta"), "without values"),
    ],
    ids=["sparse", "quantized", "nested", "meta"],
)
def test_tensors_that_hold_no_plain_numbers_are_told_apart(tmp_path, make, kind):
    torch.save({**TENSORS, "odd": make()}, tmp_path / "net.pth")
    found = read_checkpoint(tmp_path / "net.pth")
    assert equal(found.tensors)
    assert found.unusable == {"odd": kind}


def test_a_path_that_cannot_be_looked_at_is_refused_in_one_line(tmp_path):
    assert refused(tmp_path / f"{'a' * 300}.pth").code == "EK102"


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    assert refused(tmp_path / "pipe.pth").what == "the weights are no file"


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
