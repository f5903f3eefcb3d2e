"""How much one layer's filters matter: pruned alone, at several ratios, without retraining.

Source: Li et al. 2017, arXiv:1608.08710, section 3.2.
"""

from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from edgekit.compress.channels import Channels
from edgekit.compress.choose import kept
from edgekit.compress.criteria import score
from edgekit.compress.low_rank import flat
from edgekit.compress.opened import open_for_compression
from edgekit.compress.prune import mean_gradients, prunable
from edgekit.report.plot import Line, line_page
from edgekit.source.graph_module import GraphModule
from edgekit.target import FloatArray

RATIOS = (0.2, 0.4, 0.6, 0.8)


def measure(model: ir.Model, images: list[FloatArray], criterion: str = "l1") -> list[dict[str, Any]]:
    """Per layer: which share of the images keeps its class at each ratio, and the outputs' SQNR in dB.

    The filters are set to zero in place, which computes what removing them does.

    Args:
        images: batches f32[n, C, H, W].
    """
    model = open_for_compression(model)
    channels = prunable(model)
    gradients = mean_gradients(model, images) if criterion == "taylor" else None
    scores = score(model, channels, criterion, gradients)
    module = GraphModule(model)
    batches = [torch.from_numpy(batch) for batch in images]
    found = []
    with torch.no_grad():
        reference = _outputs(module, batches)
        for group in channels.groups:
            order = sorted(group.bundles, key=lambda bundle: scores[bundle])
            agreement, sqnr = {}, {}
            for ratio in RATIOS:
                gone = order[: len(order) - max(1, kept(len(order), ratio))]
                held = _silence(module, channels, gone)
                outputs = _outputs(module, batches)
                _restore(module, held)
                agreement[str(ratio)] = float((outputs.argmax(1) == reference.argmax(1)).double().mean())
                noise = float(torch.square(outputs - reference).sum())
                sqnr[str(ratio)] = float(10 * np.log10(float(torch.square(reference).sum()) / max(noise, 1e-30)))
            layers = [layer.module for layer in group.layers]
            found.append(
                {"name": group.name, "layers": layers, "filters": len(order), "agreement": agreement, "sqnr_db": sqnr}
            )
    return found


def _outputs(module: GraphModule, batches: list[Tensor]) -> Tensor:
    return torch.cat([flat(module(batch)) for batch in batches])


def _silence(module: GraphModule, channels: Channels, gone: list[int]) -> dict[str, Tensor]:
    """Set the weights of bundles to zero, in place; what they were, by path."""
    held: dict[str, Tensor] = {}
    for name, axes in channels.constants.items():
        path = module.learned.get(name)
        for axis, bundles in axes.items():
            dead = np.flatnonzero(np.isin(bundles, gone))
            if path is not None and len(dead):
                tensor = _tensor(module, path)
                held.setdefault(path, tensor.detach().clone())
                tensor.index_fill_(axis, torch.from_numpy(dead), 0.0)
    return held


def _restore(module: GraphModule, held: dict[str, Tensor]) -> None:
    for path, tensor in held.items():
        _tensor(module, path).copy_(tensor)


def _tensor(module: GraphModule, path: str) -> Tensor:
    where, _, name = path.rpartition(".")
    tensor: Tensor = getattr(module.get_submodule(where), name)
    return tensor.data


def page(document: dict[str, Any]) -> str:
    """The plot as an HTML page of one file."""
    lines = [
        Line(layer["name"], [(0.0, 100.0), *((100 * float(r), 100 * a) for r, a in layer["agreement"].items())])
        for layer in document["layers"]
    ]
    return line_page(
        f"{document['model']}: sensitivity of layers",
        f"one layer pruned at a time by {document['criterion']}, not retrained",
        ("filters of the layer removed, %", "images that keep their class, %"),
        lines,
    )
