"""ONNX operators as PyTorch computes them, for any number of images: what a GraphModule is made of.

`Build` reads a node; a rule of OPERATORS makes a `Call` of it. Semantics: onnx.ai/onnx/operators. Every value has the
images along one axis, `batch`, whose size is n times that of the graph, image by image.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Function = Callable[..., Any]


def sizes_of(value: ir.Value) -> tuple[int, ...]:
    """The static shape of a value."""
    return tuple(int(str(size)) for size in value.shape or ())


class Call(nn.Module):
    """An operator without weights of PyTorch's own: `function(images, *values)`.

    Args:
        reads: names of the values that it takes.
        constants: name of a constant in the graph -> name of the tensor here.
    """

    def __init__(self, function: Function, reads: Sequence[str]) -> None:
        super().__init__()
        self.function, self.reads = function, list(reads)
        self.constants: dict[str, str] = {}

    def forward(self, images: int, *values: Tensor) -> Any:
        return self.function(images, *values)


class LearnedCall(Call):
    """An operator with constants among its operands: `function(images, tensors, *values)`.

    Args:
        tensors: in the function's order; trained ones are parameters, others buffers.
        names: of the constants in the graph that they are, "" for one that is none.
    """

    def __init__(
        self,
        function: Function,
        reads: Sequence[str],
        tensors: Sequence[Tensor],
        names: Sequence[str],
        trained: Sequence[bool],
    ) -> None:
        super().__init__(function, reads)
        self.held = [f"value{index or ''}" for index in range(len(tensors))]
        for held, tensor, is_trained in zip(self.held, tensors, trained, strict=True):
            if is_trained:
                self.register_parameter(held, nn.Parameter(tensor))
            else:
                self.register_buffer(held, tensor)
        self.constants = {name: held for name, held in zip(names, self.held, strict=True) if name}

    def forward(self, images: int, *values: Tensor) -> Any:
        return self.function(images, [getattr(self, held) for held in self.held], *values)


class Build:
    """A node being read.

    Args:
        batch_axes: name of a value -> axis of its images; the node's own results are added.
    """

    def __init__(self, node: ir.Node, batch_axes: dict[str, int]) -> None:
        self.node, self._batch_axes = node, batch_axes
        self.inputs = list(node.inputs)
        computed = [value for value in self.inputs if value is not None and value.const_value is None]
        self.reads = [str(value.name) for value in computed]
        self.source = computed[0]
        self.batch = batch_axes[str(self.source.name)]
        self.rank = len(self.source.shape or ())
        self.result(self.batch)

    def result(self, batch: int) -> None:
        """Say along which axis the results have the images."""
        for value in self.node.outputs:
            self._batch_axes[str(value.name)] = batch

    def batch_of(self, value: ir.Value) -> int:
        return self._batch_axes[str(value.name)]

    def array(self, index: int) -> Any:
        """A constant input; None where there is none."""
        value = self.inputs[index] if index < len(self.inputs) else None
        return None if value is None or value.const_value is None else np.array(value.const_value.numpy())

    def tensor(self, index: int) -> Tensor:
        return torch.from_numpy(self.array(index))

    def name(self, index: int) -> str:
        return str(self.inputs[index].name)  # type: ignore[union-attr]

    def attribute(self, name: str, default: Any = None) -> Any:
        found = self.node.attributes.get(name)
        return default if found is None else found.value

    def axis(self, name: str = "axis", default: int = 0) -> int:
        return int(self.attribute(name, default)) % self.rank

    def shape(self) -> tuple[int, ...]:
        return sizes_of(self.node.outputs[0])

    def call(self, function: Function) -> Call:
        return Call(function, self.reads)

    def constant_inputs(self, first: int = 0) -> list[int]:
        return [index for index in range(first, len(self.inputs)) if self.array(index) is not None]

    def learned(self, function: Function, indices: Sequence[int], trained: bool | Sequence[bool]) -> LearnedCall:
        """A call with the constant inputs of these indices as `tensors`."""
        flags = [trained] * len(indices) if isinstance(trained, bool) else trained
        return LearnedCall(function, self.reads, list(map(self.tensor, indices)), list(map(self.name, indices)), flags)

    def holding(self, function: Function, tensor: Tensor) -> LearnedCall:
        """A call with a tensor that is no constant of the graph."""
        return LearnedCall(function, self.reads, [tensor], [""], [False])


# -- layers of PyTorch's own ----


def layer_of(build: Build) -> Any:
    """The node as a layer of torch.nn, where it is exactly one; else None."""
    make = LAYERS.get(build.node.op_type)
    layer: Any = make(build) if make is not None else None
    if layer is not None:
        layer.reads = build.reads
        weight = next(iter(layer.constants))
        layer.path = weight.rpartition(".")[0] if weight.endswith(".weight") else ""
    return layer


def _filled(build: Build, layer: nn.Module, names: Sequence[str], first: int = 1) -> nn.Module:
    """Give a layer the node's constants."""
    constants: dict[str, str] = {}
    for index, name in enumerate(names, start=first):
        if build.array(index) is not None:
            getattr(layer, name).data = build.tensor(index).reshape(getattr(layer, name).shape)
            constants[build.name(index)] = name
    layer.constants = constants  # type: ignore[assignment]
    return layer


def _conv(build: Build) -> nn.Module | None:
    weight = build.array(1)
    pads, rank = build.attribute("pads", [0] * 4), build.rank - 2
    if weight is None or rank != 2 or list(pads[:2]) != list(pads[2:]) or build.batch:
        return None
    groups = build.attribute("group", 1)
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        tuple(build.attribute("strides", [1, 1])),
        tuple(pads[:2]),
        tuple(build.attribute("dilations", [1, 1])),
        groups,
        bias=build.array(2) is not None,
    )
    return _filled(build, layer, ("weight", "bias"))


def _batch_norm(build: Build) -> nn.Module | None:
    if build.rank not in (2, 3, 4) or build.batch or any(build.array(index) is None for index in range(1, 5)):
        return None
    make = nn.BatchNorm2d if build.rank == 4 else nn.BatchNorm1d
    layer = make(build.array(1).size, eps=build.attribute("epsilon", 1e-5))
    return _filled(build, layer, ("weight", "bias", "running_mean", "running_var"))


def _gemm(build: Build) -> nn.Module | None:
    weight, bias = build.array(1), build.array(2)
    plain = build.attribute("alpha", 1.0) == 1 and build.attribute("beta", 1.0) == 1
    if weight is None or not build.attribute("transB", 0) or build.attribute("transA", 0) or not plain:
        return None
    if len(build.inputs) > 2 and (bias is None or bias.shape != (weight.shape[0],)):
        return None
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    return _filled(build, layer, ("weight", "bias"))


def _layer_norm(build: Build) -> nn.Module | None:
    weight = build.array(1)
    if weight is None or build.axis(default=-1) != build.rank - weight.ndim:
        return None
    layer = nn.LayerNorm(weight.shape, eps=build.attribute("epsilon", 1e-5), bias=build.array(2) is not None)
    return _filled(build, layer, ("weight", "bias"))


LAYERS: dict[str, Callable[[Build], nn.Module | None]] = {
    "Conv": _conv,
    "BatchNormalization": _batch_norm,
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
}


# -- operators ----


def _unary(function: Function) -> Callable[[Build], Call]:
    return lambda build: build.call(lambda images, x: function(x))


def _conv_padded(build: Build) -> Call:
    """A convolution that pads its sides differently."""
    pads = build.attribute("pads", [0] * 4)
    stride, dilation = tuple(build.attribute("strides", [1, 1])), tuple(build.attribute("dilations", [1, 1]))
    border = [pads[1], pads[3], pads[0], pads[2]]
    groups = build.attribute("group", 1)

    def convolve(images: int, tensors: list[Tensor], x: Tensor) -> Tensor:
        bias = tensors[1] if len(tensors) > 1 else None
        return F.conv2d(F.pad(x, border), tensors[0], bias, stride, 0, dilation, groups)

    return build.learned(convolve, build.constant_inputs(1), trained=True)


def _conv_transposed(build: Build) -> Call:
    """A transposed convolution; what ONNX pads is cut from the full result."""
    top, left, bottom, right = build.attribute("pads", [0] * 4)
    stride, dilation = tuple(build.attribute("strides", [1, 1])), tuple(build.attribute("dilations", [1, 1]))
    extra, groups = tuple(build.attribute("output_padding", [0, 0])), build.attribute("group", 1)

    def convolve(images: int, tensors: list[Tensor], x: Tensor) -> Tensor:
        bias = tensors[1] if len(tensors) > 1 else None
        whole = F.conv_transpose2d(x, tensors[0], bias, stride, 0, extra, groups, dilation)
        return whole[:, :, top : whole.shape[2] - bottom, left : whole.shape[3] - right]

    return build.learned(convolve, build.constant_inputs(1), trained=True)


def _gemm_general(build: Build) -> Call:
    alpha, beta = build.attribute("alpha", 1.0), build.attribute("beta", 1.0)
    turned = bool(build.attribute("transB", 0))

    def multiply(images: int, tensors: list[Tensor], x: Tensor) -> Tensor:
        product: Tensor = alpha * (x @ (tensors[0].T if turned else tensors[0]))
        return product if len(tensors) == 1 else product + beta * tensors[1]

    return build.learned(multiply, build.constant_inputs(1), trained=True)


def _arithmetic(function: Function) -> Callable[[Build], Call]:
    def make(build: Build) -> Call:
        rank, fixed = len(build.shape()), build.constant_inputs()
        batch = build.batch + rank - build.rank
        build.result(batch)
        size = sizes_of(build.source)[build.batch]

        def compute(images: int, tensors: list[Tensor], *values: Tensor) -> Tensor:
            given = {i: _per_image(t, batch, rank, size, images) for i, t in zip(fixed, tensors, strict=True)}
            return _folded(function, _in_order(build.inputs, given, values))

        trained = [_is_vector(build.array(index)) or build.node.op_type == "PRelu" for index in fixed]
        return build.learned(compute, fixed, trained)

    return make


def _is_vector(array: Any) -> bool:
    """A bias or a scale per channel; single numbers and maps are part of the network's structure."""
    return bool(array.ndim == 1 and array.size > 1)


def _in_order(inputs: Sequence[Any], fixed: dict[int, Tensor], values: Sequence[Tensor]) -> list[Tensor]:
    """Constants and computed values in the order of the node's inputs."""
    computed = iter(values)
    return [fixed[index] if index in fixed else next(computed) for index in range(len(inputs))]


def _folded(function: Function, values: Sequence[Any]) -> Tensor:
    result = values[0]
    for value in values[1:]:
        result = function(result, value)
    assert isinstance(result, Tensor)
    return result


def _per_image(value: Tensor, batch: int, rank: int, size: int, images: int) -> Tensor:
    """A constant with its own numbers along the axis of the images, once for each."""
    axis = batch - (rank - value.ndim)
    if images == 1 or size == 1 or axis < 0 or value.shape[axis] != size:
        return value
    return value.repeat([images if each == axis else 1 for each in range(value.ndim)])


def _where(build: Build) -> Call:
    fixed = build.constant_inputs()

    def choose(images: int, tensors: list[Tensor], *values: Tensor) -> Tensor:
        condition, chosen, other = _in_order(build.inputs, dict(zip(fixed, tensors, strict=True)), values)
        return torch.where(condition, chosen, other)

    return build.learned(choose, fixed, trained=False)


def _matmul(build: Build) -> Call:
    if build.array(1) is not None:
        trained = build.array(1).ndim == 2 and not build.name(1).endswith("windows")
        return build.learned(lambda images, tensors, x: x @ tensors[0], [1], trained=trained)
    if build.array(0) is not None:
        return build.learned(lambda images, tensors, x: tensors[0] @ x, [0], trained=False)
    return build.call(lambda images, x, y: x @ y)


def _reshape(build: Build) -> Call:
    shape, batch = build.shape(), build.batch
    build.result(0)

    def reshape(images: int, x: Tensor) -> Tensor:
        if images == 1:
            return x.reshape(shape)
        apart = x.reshape(*x.shape[:batch], images, x.shape[batch] // images, *x.shape[batch + 1 :])
        return apart.movedim(batch, 0).reshape(images * shape[0], *shape[1:])

    return build.call(reshape)


def _expand(build: Build) -> Call:
    shape = build.shape()
    batch = build.batch + len(shape) - build.rank
    build.result(batch)

    def expand(images: int, x: Tensor) -> Tensor:
        return x.expand([size * images if axis == batch else size for axis, size in enumerate(shape)])

    return build.call(expand)


def _transpose(build: Build) -> Call:
    order = list(build.attribute("perm", range(build.rank)[::-1]))
    build.result(order.index(build.batch))
    return build.call(lambda images, x: x.permute(order))


def _concat(build: Build) -> Call:
    axis, batch, fixed = int(build.attribute("axis")) % len(build.shape()), build.batch, build.constant_inputs()

    def concat(images: int, tensors: list[Tensor], *values: Tensor) -> Tensor:
        given = {i: _repeated(t, batch, images) for i, t in zip(fixed, tensors, strict=True)}
        return torch.cat(_in_order(build.inputs, given, values), axis)

    return build.learned(concat, fixed, trained=False)


def _repeated(value: Tensor, batch: int, images: int) -> Tensor:
    return value.repeat([images if axis == batch else 1 for axis in range(value.ndim)])


def _split(build: Build) -> Call:
    axis = build.axis()
    sizes = [sizes_of(value)[axis] for value in build.node.outputs]
    return build.call(lambda images, x: torch.split(x, sizes, axis))


def _slice(build: Build) -> Call:
    starts, ends = build.array(1).reshape(-1).tolist(), build.array(2).reshape(-1).tolist()
    axes = range(len(starts)) if build.array(3) is None else build.array(3).reshape(-1).tolist()
    steps = [1] * len(starts) if build.array(4) is None else build.array(4).reshape(-1).tolist()
    cuts = [slice(None)] * build.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = sizes_of(build.source)[axis]
        if step < 0:  # torch has no such slices
            taken = torch.from_numpy(np.arange(size)[slice(start, None if end < -size else end, step)].copy())
            return build.holding(lambda images, tensors, x: x.index_select(axis, tensors[0]), taken)  # noqa: B023
        cuts[axis % build.rank] = slice(start, end, step)
    return build.call(lambda images, x: x[tuple(cuts)])


def _gather(build: Build) -> Call:
    axis = build.axis()
    size = sizes_of(build.source)[axis]
    index = torch.from_numpy(np.asarray(build.array(1), np.int64) % size)
    build.result(build.batch + index.ndim - 1 if axis < build.batch else build.batch)
    if index.ndim == 0:
        return build.call(lambda images, x: x.select(axis, int(index)))
    shape = tuple(index.shape)

    def gather(images: int, tensors: list[Tensor], x: Tensor) -> Tensor:
        picked = x.index_select(axis, tensors[0])
        return picked if len(shape) == 1 else picked.reshape(*picked.shape[:axis], *shape, *picked.shape[axis + 1 :])

    return build.holding(gather, index.reshape(-1))


def _pad(build: Build) -> Call:
    pads, rank = build.array(1).reshape(-1).tolist(), build.rank
    value = 0.0 if build.array(2) is None else float(build.array(2))
    amounts = [amount for axis in reversed(range(rank)) for amount in (pads[axis], pads[axis + rank])]
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}[build.attribute("mode", "constant")]
    if mode != "constant":
        amounts = amounts[:4]
        return build.call(lambda images, x: F.pad(x, amounts, mode))
    return build.call(lambda images, x: F.pad(x, amounts, value=value))


def _pool_window(build: Build) -> tuple[tuple[int, ...], tuple[int, ...], list[int], bool]:
    kernel = tuple(build.attribute("kernel_shape"))
    strides = tuple(build.attribute("strides", [1] * len(kernel)))
    pads = list(build.attribute("pads", [0] * 4))
    return kernel, strides, [pads[1], pads[3], pads[0], pads[2]], bool(build.attribute("ceil_mode", 0))


def _max_pool(build: Build) -> Call:
    kernel, strides, border, ceil = _pool_window(build)
    dilation = tuple(build.attribute("dilations", [1, 1]))
    even = border[0] == border[1] and border[2] == border[3]
    if even:
        padding = (border[2], border[0])
        return build.call(lambda images, x: F.max_pool2d(x, kernel, strides, padding, dilation, ceil))

    def pool(images: int, x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(x, border, value=float("-inf")), kernel, strides, 0, dilation, ceil)

    return build.call(pool)


def _average_pool(build: Build) -> Call:
    kernel, strides, border, ceil = _pool_window(build)
    include = bool(build.attribute("count_include_pad", 0))
    if border[0] == border[1] and border[2] == border[3]:
        padding = (border[2], border[0])
        return build.call(lambda images, x: F.avg_pool2d(x, kernel, strides, padding, ceil, include))

    def pool(images: int, x: Tensor) -> Tensor:
        pooled = F.avg_pool2d(F.pad(x, border), kernel, strides, 0, ceil)
        if include:
            return pooled
        inside = F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), border), kernel, strides, 0, ceil)
        return pooled / inside

    return build.call(pool)


def _reduce(function: Function) -> Callable[[Build], Call]:
    def make(build: Build) -> Call:
        given = build.array(1) if len(build.inputs) > 1 else build.attribute("axes", None)
        axes = [int(axis) % build.rank for axis in np.asarray(given).reshape(-1)] if given is not None else None
        axes = axes or list(range(build.rank))
        keep = bool(build.attribute("keepdims", 1))
        if not keep:
            build.result(build.batch - sum(axis < build.batch for axis in axes))
        return build.call(lambda images, x: function(x, axes, keep))

    return make


def _resize(build: Build) -> Call:
    size = build.shape()[2:]
    mode = build.attribute("mode", "nearest")
    corners = build.attribute("coordinate_transformation_mode", "half_pixel") == "align_corners"
    if mode == "nearest":
        return build.call(lambda images, x: F.interpolate(x, size, mode="nearest"))
    name = {"linear": "bilinear", "cubic": "bicubic"}[mode]
    return build.call(lambda images, x: F.interpolate(x, size, mode=name, align_corners=corners))


def _clip(build: Build) -> Call:
    low, high = (None if build.array(i) is None else float(build.array(i)) for i in (1, 2))
    return build.call(lambda images, x: x.clamp(low, high))


def _normalize(function: Function, *, trained: bool = True) -> Callable[[Build], Call]:
    """`function(build, tensors, x)`: normalizations that are no layer of `LAYERS`, with their constants as they are."""
    return lambda build: build.learned(
        lambda images, tensors, x: function(build, tensors, x), build.constant_inputs(1), trained=trained
    )


def _instance_norm(build: Build, tensors: list[Tensor], x: Tensor) -> Tensor:
    return F.instance_norm(x, weight=tensors[0], bias=tensors[1], eps=build.attribute("epsilon", 1e-5))


def _group_norm(build: Build, tensors: list[Tensor], x: Tensor) -> Tensor:
    return F.group_norm(x, build.attribute("num_groups"), tensors[0], tensors[1], build.attribute("epsilon", 1e-5))


def _batch_norm_general(build: Build, tensors: list[Tensor], x: Tensor) -> Tensor:
    weight, bias, mean, var = tensors
    return F.batch_norm(x, mean, var, weight, bias, eps=build.attribute("epsilon", 1e-5))


def _layer_norm_general(build: Build, tensors: list[Tensor], x: Tensor) -> Tensor:
    shape = x.shape[build.axis(default=-1) :]
    bias = tensors[1] if len(tensors) > 1 else None
    return F.layer_norm(x, shape, tensors[0], bias, build.attribute("epsilon", 1e-5))


def _with(function: Function, **attributes: tuple[str, Any]) -> Callable[[Build], Call]:
    """A function of one value with numbers from the node's attributes: name -> (ONNX name, default)."""

    def make(build: Build) -> Call:
        given = {name: build.attribute(onnx, default) for name, (onnx, default) in attributes.items()}
        return build.call(lambda images, x: function(x, **given))

    return make


def _gelu(build: Build) -> Call:
    return build.call(partial(_gelu_of, build.attribute("approximate", "none")))


def _gelu_of(approximate: str, images: int, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=approximate)


def _hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    return (alpha * x + beta).clamp(0, 1)


def _softmax(function: Function) -> Callable[[Build], Call]:
    def make(build: Build) -> Call:
        axis = build.axis(default=-1)
        return build.call(lambda images, x: function(x, axis))

    return make


def _mean_axes(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


OPERATORS: dict[str, Callable[[Build], Call]] = {
    **{name: _unary(getattr(torch, name.lower())) for name in ("Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Log", "Abs")},
    **{name: _unary(getattr(torch, name.lower())) for name in ("Sqrt", "Neg", "Reciprocal", "Floor", "Ceil", "Sign")},
    "Identity": _unary(lambda x: x),
    "Dropout": _unary(lambda x: x),
    "HardSwish": _unary(F.hardswish),
    "Mish": _unary(F.mish),
    "Softplus": _unary(F.softplus),
    "Softsign": _unary(F.softsign),
    "HardSigmoid": _with(_hard_sigmoid, alpha=("alpha", 0.2), beta=("beta", 0.5)),
    "LeakyRelu": _with(F.leaky_relu, negative_slope=("alpha", 0.01)),
    "Elu": _with(F.elu, alpha=("alpha", 1.0)),
    "Celu": _with(F.celu, alpha=("alpha", 1.0)),
    "Selu": _unary(F.selu),
    "Gelu": _gelu,
    "Clip": _clip,
    "Softmax": _softmax(torch.softmax),
    "LogSoftmax": _softmax(torch.log_softmax),
    "Add": _arithmetic(torch.add),
    "Sub": _arithmetic(torch.sub),
    "Mul": _arithmetic(torch.mul),
    "Div": _arithmetic(torch.div),
    "Min": _arithmetic(torch.minimum),
    "Max": _arithmetic(torch.maximum),
    "Pow": _arithmetic(torch.pow),
    "PRelu": _arithmetic(lambda x, slope: torch.where(x > 0, x, slope * x)),
    "Where": _where,
    "Conv": _conv_padded,
    "ConvTranspose": _conv_transposed,
    "Gemm": _gemm_general,
    "MatMul": _matmul,
    "BatchNormalization": _normalize(_batch_norm_general, trained=False),
    "LayerNormalization": _normalize(_layer_norm_general),
    "InstanceNormalization": _normalize(_instance_norm),
    "GroupNormalization": _normalize(_group_norm),
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _unary(_mean_axes),
    "GlobalMaxPool": _unary(lambda x: x.amax((2, 3), keepdim=True)),
    "ReduceMean": _reduce(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceSum": _reduce(lambda x, axes, keep: x.sum(axes, keep)),
    "ReduceMax": _reduce(lambda x, axes, keep: x.amax(axes, keep)),
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Expand": _expand,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Pad": _pad,
    "Resize": _resize,
}
