"""What is done with a compressed network's weights afterwards: BatchNorm's statistics, estimated again."""

from collections.abc import Iterable

import onnx_ir as ir
import torch
from torch import nn

from edgekit.source.graph_module import GraphModule, with_weights_of
from edgekit.target import FloatArray


def reestimate_batch_norm(model: ir.Model, batches: Iterable[FloatArray]) -> ir.Model:
    """The graph with the means and variances that its BatchNorm layers see on images, as a new model.

    Without some of its inputs a layer's outputs are distributed otherwise; no weight is changed, and no label needed.

    Args:
        batches: f32[n, C, H, W] each, n of 2 or more.
    """
    module = GraphModule(model)
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    if not norms:
        return model
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over all batches
        norm.train()
    seen = 0
    with torch.no_grad():
        for batch in batches:
            if len(batch) > 1:
                module(torch.from_numpy(batch))
                seen += 1
    return with_weights_of(model, module) if seen else model
