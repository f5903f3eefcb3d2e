"""`model.pt2`: what torch.export.save wrote."""

import io
import json
import zipfile

import pytest
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe
from edgekit.source import resolve
from edgekit.source.checkpoint import file_sha256


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Hardswish(inplace=True))
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3))) * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])


def net():
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def save(tmp_path):
    def save(module=None, shape=(1, 3, 12, 10), name="my net.pt2", **options):
        program = torch.export.export(module or net(), (torch.zeros(shape),), **options)
        with (tmp_path / name).open("wb") as file:
            torch.export.save(program, file)
        return tmp_path / name

    return save


def source(path, **choices):
    return resolve(make_recipe(model=str(path), targets=("t",), **choices))


def refused(code, path, **choices):
    with pytest.raises(EdgekitError) as raised:
        source(path, **choices)
    assert raised.value.code == code, raised.value
    return raised.value


def test_a_saved_program_computes_what_its_module_did(save):
    path, image = save(), torch.randn(1, 3, 12, 10)
    found = source(path)
    assert (found.name, found.input_shape, found.classes) == ("my-net", (1, 3, 12, 10), 5)
    assert found.weights_sha256 == file_sha256(path)
    assert found.preprocess.crop == (12, 10)
    assert not any(part.training for part in found.module.modules())
    assert torch.allclose(found.module(image), net()(image), atol=1e-6)


def test_the_file_is_left_alone_and_closed(save):
    path = save()
    before = path.read_bytes()
    source(path)
    assert path.read_bytes() == before


def test_its_own_size_may_be_named_another_is_refused(save):
    path = save()
    assert source(path, input_size="12x10").input_shape == (1, 3, 12, 10)
    assert "12x10" in refused("EK203", path, input_size="16x10").what


def test_a_grey_image_is_one_too(save):
    found = source(save(nn.Conv2d(1, 2, 3).eval(), (1, 1, 8, 8)))
    assert (found.preprocess.mean, found.classes) == ((0.0,), None)


@pytest.mark.parametrize("shape", [(1, 3), (2, 3, 8, 8)])
def test_something_else_than_one_image_is_refused(save, shape):
    assert "x".join(map(str, shape)) in refused("EK203", save(nn.ReLU().eval(), shape)).what


def test_a_dynamic_shape_is_refused_with_what_to_do(save):
    path = save(nn.ReLU().eval(), (2, 3, 8, 8), dynamic_shapes=({0: torch.export.Dim("batch")},))
    refused("EK203", path)


@pytest.mark.parametrize("choices", [{"weights": "random"}, {"num_classes": 3}])
def test_a_finished_program_takes_no_weights(save, choices):
    refused("EK106", save(), **choices)


@pytest.mark.parametrize("kept", [0, 100, 0.6])
def test_a_truncated_file_is_named(save, kept):
    path = save()
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    assert refused("EK202", path).where == str(path)


def test_an_archive_without_a_member_is_named_without_the_log_of_torch(save, caplog):
    path = save()
    with zipfile.ZipFile(path) as source_file:
        members = {name: source_file.read(name) for name in source_file.namelist() if "archive_version" not in name}
    with zipfile.ZipFile(path, "w") as out:
        for name, data in members.items():
            out.writestr(name, data)
    with pytest.raises(EdgekitError, match="archive_version") as raised:
        source(path)
    assert raised.value.code == "EK202"
    assert not [record for record in caplog.records if record.exc_info]


def test_a_missing_file_is_named(tmp_path):
    assert refused("EK102", tmp_path / "no.pt2").where == str(tmp_path / "no.pt2")


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(3), nn.Dropout()], ids=["BatchNorm", "Dropout"])
def test_a_program_that_would_go_on_training_is_refused(save, layer):
    error = refused("EK201", save(nn.Sequential(nn.Conv2d(3, 3, 1), layer).train()))
    assert ".eval()" in error.fix
    assert source(save(nn.Sequential(nn.Conv2d(3, 3, 1), layer).eval())).classes is None


class Bomb:
    """Unpickling it would create a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def rewritten(path, change):
    """The archive with `change(name, data)` in place of each member."""
    with zipfile.ZipFile(path) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    writer = torch._C.PyTorchFileWriter(str(path))
    for name, data in members.items():
        if name.partition("/")[0] not in ("version", ".data", "byteorder"):
            written = change(name, data)
            writer.write_record(name, written, len(written))
    writer.write_end_of_file()
    return path


def saved(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def test_code_among_the_example_inputs_is_refused_and_never_runs(save, tmp_path):
    bomb = saved(((torch.zeros(1, 3, 12, 10),), {"x": Bomb(tmp_path / "ran")}))
    path = rewritten(save(), lambda name, data: bomb if name.endswith(".pt") else data)
    assert "needs code" in refused("EK102", path).what
    assert not (tmp_path / "ran").exists()


def test_code_in_the_place_of_a_weight_is_refused_and_never_runs(save, tmp_path):
    def change(name, data):
        if name.endswith("weights_config.json"):
            listed = json.loads(data)
            for entry in listed["config"].values():
                entry["use_pickle"] = True
            return json.dumps(listed).encode()
        return saved(Bomb(tmp_path / "ran")) if "/weight_" in name else data

    assert "needs code" in refused("EK102", rewritten(save(), change)).what
    assert not (tmp_path / "ran").exists()


def test_an_archive_that_was_written_again_unchanged_still_loads(save):
    assert source(rewritten(save(), lambda _, data: data)).classes == 5
