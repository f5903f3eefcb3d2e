"""Layers with constant weights: as a matrix per group, and as the integers they are stored as."""

from dataclasses import dataclass
from math import gcd

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.quant.bias_correction import correct_bias
from edgekit.quant.observers import Range
from edgekit.quant.operators import constant_of, is_constant
from edgekit.quant.parameters import QParams
from edgekit.quant.plan import Plan, fused_name, name_of
from edgekit.quant.weights import QuantizedWeight, bound_product, quantize_bias, quantize_weight

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ConstantLayer:
    """A Conv, Gemm or MatMul with constant weights.

    Args:
        operand: name of the value it reads.
        result: name of the value that it is stored as, behind the activation that is fused with it.
        axis: of the output channels in `weight`.
        groups: of a Conv; 1 elsewhere.
        window: (kernel, strides, pads, dilations) of a Conv; None for a matrix product.
    """

    name: str
    operand: str
    result: str
    weight: FloatArray
    bias: FloatArray | None
    axis: int
    groups: int
    window: tuple[tuple[int, ...], ...] | None

    @property
    def rows(self) -> FloatArray:
        """The weights as f32[G, O, K]: an output is a row times the K operands under its window."""
        return self.split(self.weight)

    @property
    def columns(self) -> int:
        return self.weight.size // int(self.weight.shape[self.axis])

    def split(self, weight: FloatArray) -> FloatArray:
        """A tensor of the weight's shape as [G, O, K]."""
        by_output = np.moveaxis(weight, self.axis, 0)
        return by_output.reshape(self.groups, len(by_output) // self.groups, -1)

    def fold(self, rows: FloatArray) -> FloatArray:
        """[G, O, K] as a tensor of the weight's shape."""
        shape = np.moveaxis(self.weight, self.axis, 0).shape
        return np.ascontiguousarray(np.moveaxis(rows.reshape(shape), 0, self.axis))

    def unfold(self, operand: FloatArray, positions: int) -> FloatArray:
        """The operands under the window, f32[G, rows, K], at `positions` places of one image, spread over the map."""
        if self.window is None:
            rows = operand.reshape(-1, operand.shape[-1])
            return rows[spread(len(rows), positions)][None]
        kernel, strides, pads, dilations = self.window
        half = len(kernel)
        padded = np.pad(operand[0], ((0, 0), *zip(pads[:half], pads[half:], strict=True)))
        reach = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        sizes = [(n - r - 1) // s + 1 for n, r, s in zip(padded.shape[1:], reach, strides, strict=True)]
        places = np.unravel_index(spread(int(np.prod(sizes)), positions), sizes)
        taps = np.unravel_index(np.arange(int(np.prod(kernel))), kernel)
        index = tuple(
            place[:, None] * s + tap[None] * d
            for place, tap, s, d in zip(places, taps, strides, dilations, strict=True)
        )
        picked: FloatArray = padded[(slice(None), *index)]  # type: ignore[arg-type]  # [C, rows, taps]
        by_group = picked.reshape(self.groups, len(padded) // self.groups, *picked.shape[1:])
        return np.ascontiguousarray(by_group.transpose(0, 2, 1, 3)).reshape(self.groups, picked.shape[1], -1)


def spread(total: int, count: int) -> NDArray[np.int64]:
    """At most `count` of `total` places, evenly spread, over all rows and columns of a map."""
    step = -(-total // count)
    while gcd(step, total) > 1 and step > 1:
        step += 1
    return np.arange(0, total, step)


def constant_layers(model: ir.Model, plan: Plan) -> list[ConstantLayer]:
    """Every quantized layer with constant weights, in graph order."""
    return [
        read_layer(node, fused_name(node, plan), plan.rules[name_of(node)].channel_axis(node))
        for node in model.graph
        if node.name in plan.rules and plan.rules[node.name].role == "linear" and is_constant(node.inputs[1])
    ]


def read_layer(node: ir.Node, result: str, axis: int) -> ConstantLayer:
    operand, weight = node.inputs[0], node.inputs[1]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    assert operand is not None
    assert weight is not None
    values = constant_of(weight)
    conv, rank = node.op_type == "Conv", values.ndim - 2
    window = (
        (
            tuple(values.shape[2:]),
            tuple(node.attributes.get_ints("strides", [1] * rank)),
            tuple(node.attributes.get_ints("pads", [0] * 2 * rank)),
            tuple(node.attributes.get_ints("dilations", [1] * rank)),
        )
        if conv
        else None
    )
    groups = node.attributes.get_int("group", 1) if conv else 1
    return ConstantLayer(
        name_of(node),
        name_of(operand),
        result,
        values,
        None if bias is None else constant_of(bias),
        axis,
        groups,
        window,
    )


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer as integers: weights, and the real bias that is stored at input scale * weight scale."""

    weight: QuantizedWeight
    bias: FloatArray | None

    def bias_scale(self, input_scale: float) -> FloatArray:
        """f32[O], the scale of the accumulator."""
        return (np.float32(input_scale) * self.weight.scale).astype(np.float32)

    def kept_bias(self, input_scale: float) -> FloatArray | None:
        """What the stored bias means, f32[O]."""
        if self.bias is None:
            return None
        scale = self.bias_scale(input_scale)
        return (quantize_bias(self.bias, scale) * scale).astype(np.float32)


def store_layers(
    layers: list[ConstantLayer],
    params: dict[str, QParams],
    ranges: dict[str, Range],
    rounded: dict[str, QuantizedWeight] | None = None,
    *,
    correct: bool = True,
) -> dict[str, StoredLayer]:
    """Layer name -> its integers.

    Args:
        rounded: weights that were rounded already; those of other layers go to the nearest integer.
        correct: analytic bias correction, where the channel means of the operand are known.
    """
    stored = {}
    for layer in layers:
        weight = (rounded or {}).get(layer.name) or quantize_weight(
            layer.weight, layer.axis, params[layer.operand].scale, layer.bias
        )
        result = params.get(layer.result)
        if result is not None and result.dtype == "int8":
            weight = bound_product(weight, params[layer.operand].scale, result.scale)
        seen = ranges.get(layer.operand)
        bias = layer.bias
        if correct and bias is not None and seen is not None and seen.channel_mean is not None:
            bias = correct_bias(bias, layer.weight, weight, seen.channel_mean)
        stored[layer.name] = StoredLayer(weight, bias)
    return stored
