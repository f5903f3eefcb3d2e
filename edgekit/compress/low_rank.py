"""Layers of a graph replaced by cheaper ones of lower rank."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from edgekit.compress.factors import Array, Decomposition, Kernel, Kernels, Moments, Step, Window, decompose
from edgekit.errors import EdgekitError, Table, did_you_mean
from edgekit.graph.constants import remove_unread
from edgekit.graph.module_path import MODULE_KEY, module_of
from edgekit.passes.rewrite import (
    constant,
    graph_of,
    int_attribute,
    ints_attribute,
    new_constant,
    new_node,
    shape_of,
    substitute,
)
from edgekit.source.graph_module import GraphModule
from edgekit.target import FloatArray

MOST_OUTPUTS = 8192
"""Of a layer that is weighed by its outputs: their second moments are a square matrix."""
SAMPLED = 256
"""Pixels of an image whose outputs enter the moments, spread over the map."""
BISECTIONS = 20


@dataclass(frozen=True, slots=True)
class Ranks:
    """How ranks are chosen: exactly one of the first three.

    Args:
        energy: share of each layer's energy that stays, 0..1.
        budget: share of the MACs of the layers in question that may stay: every layer gets the same energy.
        sqnr_db: what a layer on its own may cost the network's outputs.
        layers: shell pattern of module paths -> a rank of its own.
        kernels: how kernels of more than one pixel are taken apart.
    """

    energy: float | None = None
    budget: float | None = None
    sqnr_db: float | None = None
    layers: Mapping[str, int] = field(default_factory=dict)
    kernels: Kernels = "tucker"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A layer that can be taken apart."""

    node: ir.Node = field(repr=False)
    name: str
    kernel: Kernel
    parts: Decomposition = field(repr=False)

    @property
    def worth(self) -> int:
        """The largest rank that is cheaper than the layer; 0 where none is."""
        low, high = 0, self.parts.most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.parts.macs(middle) < self.kernel.macs else (low, middle - 1)
        return low


def lower_ranks(
    model: ir.Model, ranks: Ranks, images: Iterable[FloatArray] = (), *, whiten: bool = True
) -> tuple[ir.Model, dict[str, int]]:
    """The graph with layers of lower rank, as a new model, and the rank of each layer that was replaced.

    Args:
        model: in the form of edgekit.compress.opened.
        images: batches f32[n, C, H, W] that outputs are weighed on; without any it is plain SVD.

    Raises:
        EdgekitError: EK106 for a rank that makes its layer dearer, or a pattern that no layer fits; EK302 where no
            layer can be made cheaper.
    """
    result, batches = model.clone(), list(images)
    moments = observe(result, batches) if whiten and batches else {}
    found = list(candidates(result, ranks.kernels, moments))
    if not found:
        raise EdgekitError(
            "EK302",
            what="no layer of the model can be taken apart: it has no linear layer and no convolution without groups",
            where=model.graph.name or "model",
            fix="leave low rank out; --method prune removes filters",
        )
    check_named(found, ranks.layers)
    chosen = choose_ranks(result, found, ranks, batches)
    for candidate in found:
        if candidate.name in chosen:
            _replace(candidate, candidate.parts.steps(chosen[candidate.name]))
    remove_unread(result)
    return result, chosen


def candidates(model: ir.Model, kernels: Kernels, moments: Mapping[str, Moments]) -> Iterable[Candidate]:
    """Linear layers and convolutions without groups, with constant weights."""
    for node in model.graph:
        kernel = kernel_of(node, moments.get(str(node.name)))
        parts = decompose(kernel, kernels) if kernel is not None else None
        if kernel is not None and parts is not None:
            yield Candidate(node, module_of(node), kernel, parts)


def kernel_of(node: ir.Node, moments: Moments | None = None) -> Kernel | None:
    """A node's weights as a kernel; None for one without weights of its own, or with groups."""
    weight = constant(node.inputs[1]) if len(node.inputs) > 1 and node.op_type in ("Conv", "Gemm", "MatMul") else None
    if weight is None or constant(node.inputs[0]) is not None:
        return None
    places = shape_of(node.outputs[0]) or ()
    if node.op_type == "Conv":
        pads = ints_attribute(node, "pads", [0] * 4)
        if int_attribute(node, "group", 1) != 1 or weight.ndim != 4 or pads[:2] != pads[2:]:
            return None
        return Kernel(weight, _window(node, pads), moments)
    if weight.ndim != 2 or int_attribute(node, "transA"):
        return None
    turned = node.op_type == "MatMul" or not int_attribute(node, "transB")
    matrix = (weight.T if turned else weight)[:, :, None, None]
    rows = int(np.prod(places[1:-1])) if len(places) > 2 else 1
    return Kernel(matrix, Window(inputs=(rows, 1), outputs=(rows, 1)), moments)


def _window(node: ir.Node, pads: list[int]) -> Window:
    pair = [tuple(ints_attribute(node, name, [1, 1])) for name in ("strides", "dilations")]
    size, inputs, outputs = ((shape_of(value) or ())[2:] for value in (node.inputs[1], node.inputs[0], node.outputs[0]))
    given: Any = (size, pair[0], tuple(pads[:2]), pair[1], inputs, outputs)
    return Window(*given)


def check_named(found: list[Candidate], layers: Mapping[str, int]) -> None:
    """EK106 for a pattern without a layer, and for ranks that save nothing."""
    names = [candidate.name for candidate in found]
    for pattern, rank in layers.items():
        fitting = [candidate for candidate in found if fnmatchcase(candidate.name, pattern)]
        if not fitting:
            fix = did_you_mean(pattern, names, f"its layers are: {', '.join(names[:8])}, ...")
            what = f"no layer that can be taken apart fits {pattern!r}"
            raise EdgekitError("EK106", what=what, where="--rank", fix=fix)
        dear = [c for c in fitting if not 1 <= rank <= c.worth]
        if dear:
            raise EdgekitError(
                "EK106",
                what=f"rank {rank} makes {len(dear)} layers no cheaper",
                where=dear[0].name,
                fix=f"for {dear[0].name} a rank of at most {dear[0].worth} saves something"
                if dear[0].worth
                else f"leave {dear[0].name} whole: no rank is cheaper",
                table=Table(
                    ("layer", "MACs", "at that rank", "largest rank that saves"),
                    tuple(
                        (
                            c.name,
                            f"{c.kernel.macs:,}",
                            f"{c.parts.macs(min(max(rank, 1), c.parts.most)):,}",
                            str(c.worth),
                        )
                        for c in dear[:12]
                    ),
                ),
            )


def choose_ranks(model: ir.Model, found: list[Candidate], ranks: Ranks, batches: list[FloatArray]) -> dict[str, int]:
    """Layer -> its rank; a layer that no fitting rank makes cheaper is left out."""
    named = {
        candidate.name: rank
        for pattern, rank in ranks.layers.items()
        for candidate in found
        if fnmatchcase(candidate.name, pattern)
    }
    free = [candidate for candidate in found if candidate.name not in named]
    if ranks.budget is not None:
        chosen = _within(free, ranks.budget)
    elif ranks.sqnr_db is not None:
        chosen = _by_sensitivity(model, free, ranks.sqnr_db, batches)
    else:
        chosen = {} if ranks.energy is None else _of_energy(free, ranks.energy)
    return chosen | named


def _of_energy(found: list[Candidate], share: float) -> dict[str, int]:
    ranks = {candidate.name: candidate.parts.spectrum.rank_of(share) for candidate in found}
    return {c.name: ranks[c.name] for c in found if ranks[c.name] <= c.worth}


def _within(found: list[Candidate], budget: float) -> dict[str, int]:
    """The largest common share of energy whose layers together cost at most `budget` of what they did."""
    whole = sum(candidate.kernel.macs for candidate in found)
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _cost(found, _of_energy(found, middle)) <= budget * whole else (low, middle)
    chosen = _of_energy(found, low)
    if _cost(found, chosen) > budget * whole:
        least = _cost(found, {c.name: 1 for c in found if c.worth}) / whole
        raise EdgekitError(
            "EK106",
            what=f"rank 1 everywhere still costs {100 * least:.1f} % of the layers' MACs, more than the budget",
            where="--budget",
            fix=f"--budget {least + 0.01:.2f} or more",
        )
    return chosen


def _cost(found: list[Candidate], ranks: Mapping[str, int]) -> int:
    return sum(c.parts.macs(ranks[c.name]) if c.name in ranks else c.kernel.macs for c in found)


SHARES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)


def _by_sensitivity(
    model: ir.Model, found: list[Candidate], sqnr_db: float, batches: list[FloatArray]
) -> dict[str, int]:
    """For each layer the least energy with which, alone, it keeps the network's outputs to so many dB."""
    if not batches:
        raise EdgekitError(
            "EK106",
            what="what a layer costs the outputs is measured on images, and none were given",
            where="--min-sqnr",
            fix="name a folder of images with --data DIR, or give --energy",
        )
    module = GraphModule(model)
    images = torch.from_numpy(batches[0])
    chosen = {}
    with torch.no_grad():
        reference = flat(module(images))
        for candidate in found:
            for share in SHARES:
                rank = candidate.parts.spectrum.rank_of(share)
                if rank > candidate.worth:
                    break
                if _alone(module, candidate, rank, images, reference) >= sqnr_db:
                    chosen[candidate.name] = rank
                    break
    return chosen


def _alone(module: GraphModule, candidate: Candidate, rank: int, images: Tensor, reference: Tensor) -> float:
    """SQNR in dB of the outputs with one layer at a lower rank."""
    tensor = module.get_parameter(module.learned[str(candidate.node.inputs[1].name)])  # type: ignore[union-attr]
    whole = tensor.detach().clone()
    product = torch.from_numpy(composed(candidate.parts.steps(rank)).astype(np.float32))
    matrix = product[:, :, 0, 0] if whole.ndim == 2 else product
    tensor.copy_(matrix.T if whole.shape != matrix.shape or candidate.node.op_type == "MatMul" else matrix)
    noise = float(torch.square(flat(module(images)) - reference).sum())
    tensor.copy_(whole)
    return float(10 * np.log10(float(torch.square(reference).sum()) / max(noise, 1e-30)))


def flat(outputs: Tensor | dict[str, Tensor]) -> Tensor:
    """All outputs as one row per image."""
    tensors = outputs.values() if isinstance(outputs, dict) else [outputs]
    return torch.cat([tensor.flatten(1) for tensor in tensors], 1)


def composed(steps: tuple[Step, ...]) -> Array:
    """The kernel f64[out, in, rows, columns] that steps one after the other amount to, strides aside."""
    whole = steps[0].weight
    for step in steps[1:]:
        whole = _behind(whole, step.weight)
    return whole


def _behind(first: Array, second: Array) -> Array:
    rows = first.shape[2] + second.shape[2] - 1
    columns = first.shape[3] + second.shape[3] - 1
    result = np.zeros((second.shape[0], first.shape[1], rows, columns))
    for y in range(second.shape[2]):
        for x in range(second.shape[3]):
            moved = np.einsum("ot,tihw->oihw", second[:, :, y, x], first)
            result[:, :, y : y + first.shape[2], x : x + first.shape[3]] += moved
    return result


def observe(model: ir.Model, batches: list[FloatArray]) -> dict[str, Moments]:
    """Node -> moments of its outputs without bias, for every layer that has weights."""
    module = GraphModule(model)
    nodes = {str(node.inputs[1].name): node for node in model.graph if kernel_of(node) is not None and node.inputs[1]}
    sums: dict[str, Array] = {}
    powers: dict[str, float] = {}
    counts: dict[str, int] = {}
    hooks = []
    for weight, node in nodes.items():
        kernel = kernel_of(node)
        if kernel is None or len(kernel.weight) > MOST_OUTPUTS or weight not in module.learned:
            continue
        part = module.get_submodule(module.learned[weight].rpartition(".")[0])
        hooks.append(part.register_forward_hook(_summing(str(node.name), kernel, sums, powers, counts)))
    with torch.no_grad():
        for batch in batches:
            module(torch.from_numpy(batch))
    for hook in hooks:
        hook.remove()
    return {name: Moments(total / counts[name], powers[name] / counts[name]) for name, total in sums.items()}


def _summing(
    name: str, kernel: Kernel, sums: dict[str, Array], powers: dict[str, float], counts: dict[str, int]
) -> Callable[[nn.Module, Any, Tensor], None]:
    """A hook that adds a layer's outputs, without bias, to its sums."""
    outputs = len(kernel.weight)
    places = kernel.weight[0, 0].size

    def add(part: nn.Module, given: Any, result: Tensor) -> None:
        bias = getattr(part, "bias", None)
        rows = (
            result.movedim(1, -1)
            if result.ndim == 4 and not isinstance(part, nn.Linear) and result.shape[1] == outputs
            else result
        )
        rows = rows.reshape(-1, outputs)
        rows = (rows if bias is None else rows - bias)[:: max(1, len(rows) // (SAMPLED * max(1, len(result))))].double()
        sums[name] = sums.get(name, 0) + (rows.T @ rows).numpy()
        source = given[-1] if isinstance(given, tuple) else given
        powers[name] = powers.get(name, 0.0) + float(source.double().square().mean()) * len(rows)
        counts[name] = counts.get(name, 0) + len(rows)

    assert places
    return add


def _replace(candidate: Candidate, steps: tuple[Step, ...]) -> None:
    """Put layers of lower rank in the place of one."""
    node, graph = candidate.node, graph_of(candidate.node)
    source = node.inputs[0]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    path = node.metadata_props.get(MODULE_KEY, "")
    nodes = []
    for index, step in enumerate(steps):
        last = index == len(steps) - 1
        weight = new_constant(graph, f"{path or node.name}.{index}.weight", _stored(node, step.weight))
        inputs = [source, weight, *([bias] if last and bias is not None else [])]
        attributes, shape = _attributes(node, step), _shape(node, step)
        made = new_node(node.op_type, inputs, attributes, of=node, shape=shape)
        made.metadata_props[MODULE_KEY] = f"{path}.{index}" if path else str(index)
        if not last:
            made.name = f"{node.name}.{index}"
            made.outputs[0].name = f"{node.outputs[0].name}.{index}"
        nodes.append(made)
        source = made.outputs[0]
    substitute(node, nodes)


def _stored(node: ir.Node, weight: Array) -> Array:
    if node.op_type == "Conv":
        return weight.astype(np.float32)
    matrix = weight[:, :, 0, 0].astype(np.float32)
    return matrix if node.op_type == "Gemm" and int_attribute(node, "transB") else np.ascontiguousarray(matrix.T)


def _attributes(node: ir.Node, step: Step) -> dict[str, Any]:
    if node.op_type != "Conv":
        return {"transB": 1} if int_attribute(node, "transB") else {}
    window = step.window
    return {"strides": window.strides, "dilations": window.dilations, "pads": window.pads * 2, "group": 1}


def _shape(node: ir.Node, step: Step) -> tuple[int, ...]:
    places = shape_of(node.outputs[0]) or ()
    if node.op_type == "Conv":
        return (places[0], len(step.weight), *step.window.outputs)
    return (*places[:-1], len(step.weight))
