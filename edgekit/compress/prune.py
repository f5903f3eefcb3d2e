"""Structured filter pruning: from a graph and a plan to a smaller graph."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from edgekit.compress.channels import Channels, find_channels
from edgekit.compress.choose import Plan, choose
from edgekit.compress.criteria import score
from edgekit.compress.surgery import remove
from edgekit.errors import EdgekitError
from edgekit.source.graph_module import GraphModule
from edgekit.target import FloatArray

Between = Callable[[ir.Model], ir.Model]


def prune(
    model: ir.Model,
    plan: Plan,
    criterion: str = "l1",
    images: Iterable[FloatArray] = (),
    steps: int = 1,
    between: Between | None = None,
) -> ir.Model:
    """The graph without the filters that `plan` and `criterion` choose, as a new model.

    Args:
        model: in the form of edgekit.compress.opened.
        images: batches f32[n, C, H, W] that "taylor" takes its gradients on.
        steps: how often filters are chosen anew; each step takes its share of them.
        between: what is done with the graph after each step but the last: fine-tuning.

    Raises:
        EdgekitError: EK106 for a plan that does not fit; EK302 where nothing can be pruned.
    """
    channels = prunable(model)
    sizes = {group.name: len(group.bundles) for group in channels.groups}
    batches = list(images)
    for step in range(1, steps + 1):
        share = _share(plan, step, steps)
        gradients = mean_gradients(model, batches) if criterion == "taylor" else None
        scores = score(model, channels, criterion, gradients)
        model = remove(model, channels, choose(channels, scores, share, sizes))
        if step < steps:
            model = between(model) if between is not None else model
            channels = prunable(model)
            sizes = {group.name: sizes.get(group.name, len(group.bundles)) for group in channels.groups}
    return model


def prunable(model: ir.Model) -> Channels:
    """The channels of a graph; EK302 where none can go."""
    channels = find_channels(model)
    if not channels.groups:
        raise EdgekitError(
            "EK302",
            what="no layer of the model can lose filters: all reach an output, or an operator that mixes channels",
            where=model.graph.name or "model",
            fix="leave pruning out; --low-rank makes single layers cheaper",
        )
    return channels


def _share(plan: Plan, step: int, steps: int) -> Plan:
    """The part of a plan that is done by a step: of the whole network, or of what is left where filters are ranked."""
    progress = step / steps
    layers = {pattern: ratio * progress for pattern, ratio in plan.layers.items()}
    ratio = plan.ratio * progress
    if plan.everywhere:
        ratio = 1 - (1 - ratio) / (1 - plan.ratio * (step - 1) / steps)
    return replace(plan, ratio=ratio, layers=layers)


def mean_gradients(model: ir.Model, batches: Iterable[FloatArray]) -> Mapping[str, NDArray[Any]]:
    """Name of a weight -> gradient of the cross entropy, with the class that the network itself chooses as the label.

    Raises:
        EdgekitError: EK106 without images.
    """
    module = GraphModule(model)
    count = 0
    for batch in batches:
        logits = module(torch.from_numpy(batch))
        logits = logits if isinstance(logits, torch.Tensor) else next(iter(logits.values()))
        torch.autograd.backward(F.cross_entropy(logits.flatten(1), logits.flatten(1).argmax(1)))
        count += 1
    if not count:
        raise EdgekitError(
            "EK106",
            what="the criterion taylor takes gradients on images, and none were given",
            where="--criterion",
            fix="name a folder of images with --data DIR, or choose l1",
        )
    tensors = dict(module.named_parameters(remove_duplicate=False))
    found = {}
    for name, path in module.learned.items():
        if path in tensors and tensors[path].grad is not None:
            found[name] = tensors[path].grad.numpy() / count  # type: ignore[union-attr]
    return found
