"""Graphs whose weights are more than a protobuf message holds."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgekit.graph import external_data
from edgekit.graph.external_data import ALIGNMENT, is_too_large, put_beside
from edgekit.graph.session import open_graph
from edgekit.passes import simplify
from edgekit.pipeline import export
from edgekit.recipe import Recipe
from edgekit.trace import trace

LARGE = """
import torch
from torch import nn

WIDTH, DEPTH = {width}, {depth}

class Repeated(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2)
        self.rise = nn.Linear(8, WIDTH)
        self.layers = nn.Sequential(*(layer for _ in range(DEPTH) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())))
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, x):
        return self.head(self.layers(self.rise(self.stem(x).mean((2, 3)))))

def build():
    torch.manual_seed(0)
    return Repeated()
"""


@pytest.fixture
def graph():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 50)).eval()
    return simplify(trace(net, (1, 3, 8, 8)))


def test_larger_constants_stand_beside_the_graph_one_after_the_other(graph):
    beside = put_beside(graph, "model.onnx.data")
    assert len(beside.tensors) == 2
    assert all(offset % ALIGNMENT == 0 for offset in beside.offsets.values())
    content = beside.file()
    assert len(content) == beside.size_bytes
    for name, array in beside.tensors.items():
        start = beside.offsets[name]
        assert content[start : start + array.nbytes] == array.tobytes()
    proto = ir.to_proto(beside.model)
    assert {t.name for t in proto.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL} == {
        *beside.tensors
    }
    assert proto.ByteSize() < 8000


def test_the_graph_itself_keeps_its_weights(graph):
    before = ir.to_proto(graph).SerializeToString(deterministic=True)
    put_beside(graph, "model.onnx.data")
    assert ir.to_proto(graph).SerializeToString(deterministic=True) == before


def test_a_session_reads_the_weights_after_everything_else_is_gone(graph):
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    kept = open_graph(graph, "net")
    name = kept.get_inputs()[0].name
    [expected] = kept.run(None, {name: x})
    shaken = open_graph(graph.clone(), "net")
    del kept, graph
    _ = [np.random.default_rng(i).normal(size=30_000).astype(np.float32) for i in range(200)]
    np.testing.assert_array_equal(shaken.run(None, {name: x})[0], expected)


def recipe_of(tmp_path, width, depth, *targets):
    (tmp_path / "net.py").write_text(LARGE.format(width=width, depth=depth))
    return Recipe(
        model=f"{tmp_path / 'net.py'}:build",
        targets=targets,
        input_size=(16, 16),
        out=tmp_path / "out",
    )


def check_bundle(run):
    [folder] = run.bundles.values()
    light = onnx.load(folder / "model.onnx", load_external_data=False)
    external = [t for t in light.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    assert external
    assert (folder / "model.onnx").stat().st_size < 100_000
    assert not run.failures
    return (folder / "model.onnx.data").stat().st_size


def test_a_large_model_is_a_bundle_of_graph_and_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(external_data, "MOST_BYTES", 10_000)
    size = check_bundle(export(recipe_of(tmp_path, 64, 2, "ort-fp32")))
    assert size >= 4 * 2 * 64 * 64


def test_the_limit_is_on_the_bytes_of_all_constants(graph, monkeypatch):
    assert not is_too_large(graph)
    monkeypatch.setattr(external_data, "MOST_BYTES", 4 * 16 * 36 * 50)
    assert is_too_large(graph)


@pytest.mark.slow
def test_600_million_parameters_export(tmp_path):
    """2.4 GB of float32: more than protobuf's 2 GB."""
    size = check_bundle(export(recipe_of(tmp_path, 10_000, 6, "ort-fp32")))
    assert size > 2**31
