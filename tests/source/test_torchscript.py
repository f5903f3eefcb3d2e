"""`model.pt`: a TorchScript program is loaded; a checkpoint and a pickled module are refused as what they are."""

import pytest
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe
from edgekit.source import resolve
from edgekit.source.checkpoint import file_sha256
from edgekit.trace import trace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of what it no longer advises


def net(channels=3):
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(8, 5))
    return nn.Sequential(nn.Conv2d(channels, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), head).eval()


def save(path, module, way="trace", channels=3):
    made = torch.jit.script(module) if way == "script" else torch.jit.trace(module, torch.zeros(1, channels, 16, 16))
    torch.jit.save(made, path)


def source(path, **choices):
    return resolve(make_recipe(model=str(path), targets=("t",), **{"input_size": 16, **choices}))


def refused(code, path, **choices):
    with pytest.raises(EdgekitError) as raised:
        source(path, **choices)
    assert raised.value.code == code, raised.value
    return raised.value


@pytest.mark.parametrize("way", ["trace", "script"])
@pytest.mark.parametrize("suffix", ["pt", "pth", "torchscript", "jit"])
def test_a_program_is_loaded_and_traced(tmp_path, way, suffix):
    path = tmp_path / f"net.{suffix}"
    save(path, net(), way)
    found = source(path)
    assert (found.name, found.input_shape, found.classes) == ("net", (1, 3, 16, 16), 5)
    assert (found.weights, found.weights_sha256) == ("inside the TorchScript file", file_sha256(path))
    assert found.assumed
    image = torch.randn(1, 3, 16, 16)
    assert torch.allclose(found.module(image), net()(image), atol=1e-6)
    assert [node.op_type for node in trace(found.module, found.input_shape).graph].count("Conv") == 1


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_the_channels_are_those_of_its_first_convolution(tmp_path, channels):
    save(tmp_path / "net.pt", net(channels), channels=channels)
    assert source(tmp_path / "net.pt").input_shape == (1, channels, 16, 16)


def test_a_program_in_half_is_widened(tmp_path):
    torch.jit.save(torch.jit.script(net()).half(), tmp_path / "net.pt")
    assert {tensor.dtype for tensor in source(tmp_path / "net.pt").module.parameters()} == {torch.float32}


@pytest.mark.parametrize("choices", [{"weights": "w.pth"}, {"num_classes": 5}])
def test_a_program_takes_no_other_weights(tmp_path, choices):
    save(tmp_path / "net.pt", net())
    assert "TorchScript file" in refused("EK106", tmp_path / "net.pt", **choices).what


@pytest.mark.filterwarnings("ignore")  # of tracing what is random
def test_a_program_that_was_traced_in_training_mode_is_refused(tmp_path):
    torch.jit.save(torch.jit.trace(net().train(), torch.zeros(2, 3, 16, 16), check_trace=False), tmp_path / "net.pt")
    assert ".eval()" in refused("EK201", tmp_path / "net.pt").fix


def test_a_pickled_module_is_named_by_its_class_with_what_to_do(tmp_path):
    torch.save(net(), tmp_path / "net.pt")
    error = refused("EK106", tmp_path / "net.pt")
    assert "is a pickled module (torch.nn.modules.container.Sequential)" in error.what
    assert f"file.py:callable --weights {tmp_path}/net.pt" in error.fix


@pytest.mark.parametrize("saved", [net().state_dict(), {"state_dict": net().state_dict()}], ids=["plain", "nested"])
def test_a_checkpoint_is_no_model(tmp_path, saved):
    torch.save(saved, tmp_path / "net.pth")
    error = refused("EK106", tmp_path / "net.pth")
    assert "is a checkpoint: it holds weights, not a model" in error.what
    assert "--weights" in error.fix


def test_a_truncated_program_is_unreadable(tmp_path):
    save(tmp_path / "whole.pt", net())
    data = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "net.torchscript").write_bytes(data[: len(data) // 2])
    assert refused("EK102", tmp_path / "net.torchscript").where == f"{tmp_path}/net.torchscript"


def test_code_in_a_file_that_is_named_as_a_model_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    torch.save({"model": Bomb()}, tmp_path / "net.pt")
    assert refused("EK102", tmp_path / "net.pt").what.endswith("which is never run")
    assert not (tmp_path / "ran").exists()
