"""A float ONNX graph as an nn.Module: what was compressed has no Python class of its own, and is trained and exported.

Layers with weights are PyTorch's own (nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.LayerNorm) under the paths that they had
in the module that was traced, so that whatever looks for layers finds them. A graph is recorded for one image; here it
takes any number: every value knows which of its axes the images are along.
"""

from collections import Counter
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from edgekit.errors import EdgekitError, Table
from edgekit.graph.module_path import path_of
from edgekit.source.graph_operators import OPERATORS, Build, Call, layer_of, sizes_of


class GraphModule(nn.Module):
    """A graph of the canonical operators: f32[n, C, H, W] -> its outputs.

    Args:
        model: with static shapes for one image; it is not kept, its weights are copied.

    Raises:
        EdgekitError: EK204 naming the operators that there is no PyTorch for.
    """

    def __init__(self, model: ir.Model) -> None:
        super().__init__()
        refuse_unknown(model)
        self.outputs = [str(value.name) for value in model.graph.outputs]
        self.learned: dict[str, str] = {}
        """Name of a constant -> path of the tensor that holds it."""
        self._input = str(model.graph.inputs[0].name)
        shared: dict[str, nn.Parameter] = {}
        reads = Counter(str(v.name) for node in model.graph for v in node.inputs if v is not None)
        reads.update(self.outputs)
        self._reads = reads
        self._steps: list[tuple[str, list[str], list[str]]] = []
        batch_axes: dict[str, int] = {self._input: 0}
        calls: list[tuple[ir.Node, Any]] = []
        for node in model.graph:
            build = Build(node, batch_axes)
            calls.append((node, layer_of(build) or OPERATORS[node.op_type](build)))
        paths = {
            node: self._place(node, call) for node, call in sorted(calls, key=lambda each: isinstance(each[1], Call))
        }
        for node, call in calls:
            for name, tensor_name in call.constants.items():
                self._share(shared, name, f"{paths[node]}.{tensor_name}")
            self._steps.append((paths[node], call.reads, [str(value.name) for value in node.outputs]))
        self.eval()

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        values: dict[str, Tensor] = {self._input: x}
        left = dict(self._reads)
        images = len(x)
        for path, reads, results in self._steps:
            operands = [values[name] for name in reads]
            call = self.get_submodule(path)
            made = call(*operands) if not isinstance(call, Call) else call(images, *operands)
            for name in reads:
                left[name] -= 1
                if not left[name]:
                    values.pop(name, None)
            values |= zip(results, made if isinstance(made, list | tuple) else [made], strict=False)
        if len(self.outputs) == 1:
            return values[self.outputs[0]]
        return {name: values[name] for name in self.outputs}

    def _place(self, node: ir.Node, call: nn.Module) -> str:
        """Put an operator where it was in the traced module; below that, where another stands there already."""
        parts = [part for part in (getattr(call, "path", "") or path_of(node)).split(".") if part]
        place: nn.Module = self
        for depth, part in enumerate(parts, start=1):
            if part not in place._modules:
                place.add_module(part, call if depth == len(parts) else nn.Module())
                if depth == len(parts):
                    return ".".join(parts)
            place = place.get_submodule(part)
        name = str(node.name).replace(".", "_") or node.op_type
        while hasattr(place, name):
            name += "_"
        place.add_module(name, call)
        return ".".join([*parts, name])

    def _share(self, shared: dict[str, nn.Parameter], name: str, path: str) -> None:
        """One tensor for a constant that several layers read."""
        where, _, tensor_name = path.rpartition(".")
        holder = self.get_submodule(where)
        tensor = getattr(holder, tensor_name)
        if name in shared and isinstance(tensor, nn.Parameter):
            setattr(holder, tensor_name, shared[name])
        elif isinstance(tensor, nn.Parameter):
            shared[name] = tensor
        self.learned.setdefault(name, path)


def refuse_unknown(model: ir.Model) -> None:
    """EK204 for operators that a GraphModule does not have."""
    unknown = [node for node in model.graph if node.domain or node.op_type not in OPERATORS]
    if unknown:
        raise EdgekitError(
            "EK204",
            what=f"{len(unknown)} operators have no PyTorch counterpart: "
            + ", ".join(sorted({node.op_type for node in unknown})),
            where=path_of(unknown[0]) or str(unknown[0].name),
            fix="leave the compression out for this model, or write these operators as others",
            table=Table(("node", "op", "module"), tuple((str(n.name), n.op_type, path_of(n)) for n in unknown[:20])),
        )


@torch.no_grad()
def with_weights_of(model: ir.Model, module: GraphModule) -> ir.Model:
    """The graph with the weights that a module made of it has by now, as a new model."""
    result = model.clone()
    tensors = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers())
    for name, path in module.learned.items():
        value = result.graph.initializers[name]
        array = np.array(tensors[path].detach().numpy().reshape(sizes_of(value)))
        value.const_value = ir.Tensor(array, name=name)
    return result
