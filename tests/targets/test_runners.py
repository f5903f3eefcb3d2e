"""Runners of both runtimes give every output of a file by its name, in float32 and ONNX axis order."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.graph.runner import GraphRunner
from edgekit.passes import prepare_integer, simplify
from edgekit.quant import calibrate, quantize
from edgekit.target import EmitOptions, targets
from edgekit.trace import trace
from edgekit.verify.parity import measure_sqnr_db

IMAGES = np.random.default_rng(4).uniform(-1, 1, (3, 3, 12, 16)).astype(np.float32)
SHAPES = {"scores": (10,), "offsets": (4,), "maps": (5, 6, 8)}
ORDERS = [order for count in (1, 2, 3) for order in permutations(SHAPES, count)]
TARGETS = ("ort-fp32", "ort-dynamic", "ort-int8", "tflite-fp32", "tflite-fp16", "tflite-int8", "tflite-int16x8")


class Heads(nn.Module):
    """Three outputs whose values lie far apart: another output's scale or place would show."""

    def __init__(self, order: tuple[str, ...]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.scores, self.offsets, self.maps = nn.Linear(16, 10), nn.Linear(16, 4), nn.Conv2d(16, 5, 1)
        self.order = order

    def forward(self, x):
        features = torch.relu(self.stem(x))
        pooled = features.mean((2, 3))
        found = {
            "scores": self.scores(pooled),
            "offsets": 100 * self.offsets(pooled),
            "maps": 0.01 * self.maps(features),
        }
        return {name: found[name] for name in self.order}


class Choices(nn.Module):
    """An index, a truth and no batch axis, beside what an image usually gives."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    def forward(self, x):
        pooled = x.mean((2, 3))
        found = {"pooled": pooled, "best": pooled.argmax(1), "bright": pooled > 0, "highest": x.max()}
        return {name: found[name] for name in self.names}


def runner(graph, name, folder, io=None):
    target = targets.get(name)
    file = folder / target.model_file
    file.write_bytes(target.emit(graph, target, EmitOptions(io)).data)
    return target.run(file)


def graph_for(order, name):
    """The graph as the target's scheme wants it."""
    floats, scheme = simplify(trace(Heads(order).eval(), (1, *IMAGES.shape[1:]))), targets.get(name).scheme
    if not scheme.needs_calibration:
        return floats
    ready = prepare_integer(floats)
    return quantize(ready, calibrate(ready, [IMAGES]), scheme)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_every_output_is_found_by_its_name_whatever_their_order(order, name, tmp_path):
    with torch.no_grad():
        wanted = {key: value.numpy() for key, value in Heads(order).eval()(torch.from_numpy(IMAGES)).items()}
    found = runner(graph_for(order, name), name, tmp_path)(IMAGES)
    assert list(found) == list(order)
    for output, values in found.items():
        assert (values.dtype, values.shape) == (np.float32, (len(IMAGES), *SHAPES[output]))
        assert measure_sqnr_db(wanted[output].astype(np.float64), values.astype(np.float64)) > 20, output


@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
@pytest.mark.parametrize("name", ["ort-int8", "tflite-int8"])
def test_stored_integers_are_restored_with_each_outputs_own_scale(name, io, tmp_path):
    graph = graph_for(tuple(SHAPES), name)
    wanted, found = GraphRunner(graph)(IMAGES), runner(graph, name, tmp_path, io)(IMAGES)
    for output in SHAPES:
        assert measure_sqnr_db(wanted[output].astype(np.float64), found[output].astype(np.float64)) > 30, output


@pytest.mark.parametrize(
    ("name", "names"), [("ort-fp32", ("pooled", "best", "bright", "highest")), ("tflite-fp32", ("best", "pooled"))]
)
def test_indices_and_truths_become_numbers(name, names, tmp_path):
    graph = simplify(trace(Choices(*names).eval(), (1, *IMAGES.shape[1:])))
    found = runner(graph, name, tmp_path)(IMAGES)
    pooled = IMAGES.mean((2, 3))
    wanted = {"pooled": pooled, "best": pooled.argmax(1), "bright": pooled > 0, "highest": IMAGES.max((1, 2, 3))}
    assert list(found) == list(names)
    for output, values in found.items():
        kept = np.int64 if output in ("best", "bright") else np.float32
        assert (values.dtype, values.shape) == (kept, wanted[output].shape)
        np.testing.assert_allclose(values, wanted[output], atol=1e-6)
