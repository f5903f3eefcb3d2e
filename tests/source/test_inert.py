"""Pickles that name code: none of it is imported or called, and the tensors beside it are read."""

import argparse
import collections
import functools
import io
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import tarfile
import types

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.source.checkpoint import read_checkpoint
from edgekit.source.inert import Placeholder, read_inert

TENSORS = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.tensor([0.5, -1.0])}


def equal(path, prefix=""):
    found = read_checkpoint(path).tensors
    return all(torch.equal(found[prefix + key], value) for key, value in TENSORS.items())


class Calls:
    """Unpickling it calls `function` with `args`."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def save_zip(value, path):
    torch.save(value, path)


def save_old(value, path):
    torch.save(value, path, _use_new_zipfile_serialization=False)


def save_pickle(value, path):
    path.write_bytes(pickle.dumps(value, protocol=2))


def save_protocol_4(value, path):
    torch.save(value, path, pickle_protocol=4)


def save_first_tar(value, path):
    """torch's first format: a tar of `storages`, `tensors` and `pickle`."""
    members = {name: io.BytesIO() for name in ("storages", "tensors", "pickle")}
    tensors = list(TENSORS.items())
    pickle.dump(len(tensors), members["storages"], protocol=2)
    pickle.dump(len(tensors), members["tensors"], protocol=2)
    for place, (_, tensor) in enumerate(tensors):
        pickle.dump((place, "cpu", torch.FloatStorage), members["storages"], protocol=2)
        members["storages"].write(struct.pack("<q", tensor.numel()) + tensor.numpy().tobytes())
        pickle.dump((100 + place, place, torch.FloatTensor), members["tensors"], protocol=2)
        sizes = struct.pack(f"<{2 * tensor.dim()}q", *tensor.shape, *tensor.stride())
        members["tensors"].write(struct.pack("<ii", tensor.dim(), 0) + sizes + struct.pack("<q", 0))
    pickle.dump([], members["storages"], protocol=2)

    class Pickler(pickle.Pickler):
        def persistent_id(self, held):
            return next((str(100 + i) for i, (_, tensor) in enumerate(tensors) if held is tensor), None)

    Pickler(members["pickle"], protocol=2).dump(value)
    with tarfile.open(path, "w") as archive:
        for name, stream in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(stream.getvalue())
            archive.addfile(entry, io.BytesIO(stream.getvalue()))


FORMATS = [save_zip, save_old, save_pickle, save_protocol_4, save_first_tar]


PAYLOADS = {
    "os.system": lambda trace: Calls(os.system, f"touch {trace}"),
    "eval": lambda trace: Calls(eval, f"open({str(trace)!r}, 'w')"),
    "exec": lambda trace: Calls(exec, f"open({str(trace)!r}, 'w')"),
    "open": lambda trace: Calls(open, str(trace), "w"),
    "import": lambda trace: Calls(__import__, "antigravity"),
    "subprocess": lambda trace: Calls(subprocess.check_output, ["touch", str(trace)]),
    "nested": lambda trace: {"deep": [({"er": Calls(os.system, f"touch {trace}")},)]},
    "in a call": lambda trace: Calls(functools.partial, Calls(os.system, f"touch {trace}")),
    "as a key": lambda trace: {Calls(os.mkdir, str(trace)): 1},
}


@pytest.mark.parametrize("save", FORMATS)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_code_is_refused_by_its_name_and_never_runs(tmp_path, save, payload):
    path, trace = tmp_path / "evil.pth", tmp_path / "ran"
    save({"state_dict": TENSORS, "extra": PAYLOADS[payload](trace)}, path)
    with pytest.raises(EdgekitError) as raised:
        read_checkpoint(path)
    assert raised.value.code == "EK102"
    assert "never run" in raised.value.what
    assert not trace.exists()
    assert "antigravity" not in sys.modules


def gadget(trace):
    """A function that no list of dangerous names has."""
    pathlib.Path(trace).touch()


class Setting:
    """Unpickling it sets its state by code of its own."""

    def __init__(self, trace):
        self.trace = trace

    def __setstate__(self, state):
        gadget(state["trace"])


@pytest.mark.parametrize("save", [save_zip, save_old, save_protocol_4, save_first_tar])
@pytest.mark.parametrize(
    "payload",
    [
        lambda trace: Calls(gadget, str(trace)),
        lambda trace: Calls(getattr(pathlib.Path, "touch"), pathlib.PosixPath(trace)),  # noqa: B009 - pickled by getattr
        lambda trace: Calls(functools.reduce, gadget, [str(trace)]),
        lambda trace: Calls(map, gadget, [str(trace)]),
        lambda trace: Setting(str(trace)),
        lambda trace: Calls(torch.load, str(trace)),
        lambda trace: Calls(torch.hub.load, str(trace), "model"),
        lambda trace: Calls(np.save, str(trace), [1]),
    ],
    ids=["function", "method", "reduce", "map", "setstate", "torch.load", "torch.hub", "numpy"],
)
def test_functions_of_any_name_become_placeholders_and_the_weights_are_read(tmp_path, save, payload):
    path, trace = tmp_path / "net.pth", tmp_path / "ran"
    save({"state_dict": TENSORS, "extra": payload(trace)}, path)
    assert equal(path, "state_dict.")
    assert not trace.exists()
    assert not trace.with_suffix(".npy").exists()


def test_nothing_is_imported_to_read_a_checkpoint(tmp_path):
    """A module that is there and was not imported yet stays so."""
    module = types.ModuleType("module_of_a_training_script")
    module.Config = type("Config", (), {"__module__": module.__name__, "__qualname__": "Config"})
    sys.modules[module.__name__] = module
    try:
        torch.save({"state_dict": TENSORS, "config": module.Config()}, tmp_path / "net.pth")
    finally:
        del sys.modules[module.__name__]
    (tmp_path / f"{module.__name__}.py").write_text("raise SystemExit('imported')")
    sys.path.insert(0, str(tmp_path))
    try:
        assert equal(tmp_path / "net.pth", "state_dict.")
    finally:
        sys.path.remove(str(tmp_path))
    assert module.__name__ not in sys.modules


@pytest.mark.parametrize("function", ["torch._utils _rebuild_tensor_v2", "torch Size", "collections OrderedDict"])
def test_a_pickle_cannot_change_what_builds_tensors(tmp_path, function):
    """BUILD sets attributes on whatever lies on the stack."""
    module, name = function.split()
    slots = pickle.dumps((None, {"__defaults__": (1,), "_run": print, "evil": 1}), protocol=2)[2:-1]
    path = tmp_path / "evil.pth"
    with tarfile.open(path, "w") as archive:
        for member, data in {
            "storages": pickle.dumps(0, 2) + pickle.dumps([], 2),
            "tensors": pickle.dumps(0, 2),
            "pickle": f"c{module}\n{name}\n".encode() + slots + b"b.",
        }.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    before = torch._utils._rebuild_tensor_v2.__defaults__
    read_inert(path)
    assert torch._utils._rebuild_tensor_v2.__defaults__ == before
    assert not hasattr(torch._utils._rebuild_tensor_v2, "evil")


def test_a_tar_that_holds_links_is_not_extracted(tmp_path):
    path = tmp_path / "evil.pth"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("storages")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(EdgekitError) as raised:
        read_checkpoint(path)
    assert "something else than files" in raised.value.what


class Mapping(dict):
    """A dictionary class of a configuration library, with attributes of its own."""


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "beside",
    [
        argparse.Namespace(lr=0.1, layers=[1, 2], path=pathlib.Path("runs")),
        pathlib.PosixPath("runs/1"),
        np.float64(91.3),
        np.arange(4, dtype=">i2"),
        np.array(["a", None], dtype=object),
        Mapping(a=Mapping(b=1)),
        collections.defaultdict(list, {"train": [1.0]}),
        collections.Counter("aab"),
        {1, 2},
        frozenset({3}),
        complex(1, 2),
        Point(1, 2),
        torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1),
        nn.CrossEntropyLoss(weight=torch.ones(3)),
        torch.device("cpu"),
        torch.float16,
        torch.Generator().get_state(),
        print,
        np.random.default_rng(0),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.filterwarnings("ignore")  # torch's old writer looks for the source of modules
@pytest.mark.parametrize("save", [save_zip, save_old, save_protocol_4])
def test_whatever_lies_beside_the_weights_is_data(tmp_path, beside, save):
    save({"args": beside, "state_dict": TENSORS}, tmp_path / "net.pth")
    assert equal(tmp_path / "net.pth", "state_dict.")


def test_objects_of_omegaconf_are_data(tmp_path):
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.create({"model": {"name": "net", "widths": [1, 2]}})
    torch.save({"hyper_parameters": config, "state_dict": TENSORS}, tmp_path / "net.pth")
    assert equal(tmp_path / "net.pth", "state_dict.")


@pytest.mark.parametrize("save", FORMATS)
def test_every_format_is_read(tmp_path, save):
    save(TENSORS, tmp_path / "net.pth")
    assert equal(tmp_path / "net.pth")


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
def test_numpy_arrays_are_tensors(tmp_path, dtype):
    arrays = {key: np.asfortranarray(value.numpy().astype(dtype)) for key, value in TENSORS.items()}
    torch.save({"weights": arrays}, tmp_path / "net.pth")
    found = read_checkpoint(tmp_path / "net.pth").tensors
    assert all(torch.equal(found[f"weights.{key}"].float(), value) for key, value in TENSORS.items())


def test_a_pickled_modules_tensors_have_the_names_of_its_state_dict(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()), nn.Linear(4, 2)).half()
    torch.save({"model": net, "epoch": 3}, tmp_path / "net.pt")
    found = read_checkpoint(tmp_path / "net.pt").tensors
    expected = net.state_dict()
    assert {key.removeprefix("model.") for key in found} == set(expected)
    assert all(torch.equal(found[f"model.{key}"], value) for key, value in expected.items())


def test_what_was_not_looked_up_keeps_its_name(tmp_path):
    torch.save(argparse.Namespace(lr=0.1), tmp_path / "net.pth")
    loaded, names = read_inert(tmp_path / "net.pth")
    assert isinstance(loaded, Placeholder)
    assert (loaded.name, names) == ("argparse.Namespace", ("argparse.Namespace",))
    assert loaded.state == {"lr": 0.1}
