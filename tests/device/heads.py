"""A small net with one head per output, in any order, as a file of any target: what devices are asked for by name."""

from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from edgekit.bundle.files import sha256
from edgekit.graph.runner import GraphRunner
from edgekit.passes import prepare_integer, simplify
from edgekit.quant import calibrate, quantize
from edgekit.target import EmitOptions, targets
from edgekit.trace import trace
from edgekit.verify.device import Subject

IMAGES = np.random.default_rng(4).uniform(-1, 1, (3, 3, 12, 16)).astype(np.float32)
NAMES = ("scores", "offsets", "maps")
ORDERS = [*permutations(NAMES[::2]), *permutations(NAMES)]
"""Of two outputs and of three."""


class Heads(nn.Module):
    """Outputs of rank 2 and 4 whose values lie far apart: another output's scale or place would show."""

    def __init__(self, order: tuple[str, ...]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.deep = nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.scores, self.offsets, self.maps = nn.Linear(16, 10), nn.Linear(16, 4), nn.Conv2d(16, 5, 1)
        self.order = order

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        features = torch.relu(self.stem(x))
        pooled = torch.relu(self.deep(features)).mean((2, 3))
        found = {
            "scores": self.scores(pooled),
            "offsets": 100 * self.offsets(pooled),
            "maps": 0.01 * self.maps(features),
        }
        return {name: found[name] for name in self.order}


def make() -> Heads:
    """All three, as a model that export finds by this file's name."""
    return Heads(NAMES).eval()


@cache
def graphs_of(order: tuple[str, ...], target: str) -> tuple[ir.Model, ir.Model]:
    """The float graph, and the graph as the target's number scheme wants it."""
    floats, scheme = simplify(trace(Heads(order).eval(), (1, *IMAGES.shape[1:]))), targets.get(target).scheme
    if not scheme.needs_calibration:
        return floats, floats
    ready = prepare_integer(floats)
    return floats, quantize(ready, calibrate(ready, [IMAGES]), scheme)


def subject_in(folder: Path, order: tuple[str, ...], target: str) -> Subject:
    """The file, written into `folder`, with what this host makes of IMAGES."""
    kind = targets.get(target)
    floats, graph = graphs_of(order, target)
    emitted = kind.emit(graph, kind, EmitOptions())
    file = folder / kind.model_file
    file.write_bytes(emitted.data)
    return Subject(
        kind,
        file,
        sha256(emitted.data),
        emitted.inputs[0],
        emitted.outputs,
        IMAGES,
        kind.run(file)(IMAGES),
        GraphRunner(floats)(IMAGES),
        "scores" if "scores" in order else None,
    )
