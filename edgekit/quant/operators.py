"""Which ONNX operators are stored as integers, and what each demands of its parameters.

One record per operator. An operator without a record, or whose node a record does not accept, computes in float between
a DequantizeLinear and a QuantizeLinear.

    linear      constant weights per output channel, int32 bias, an output range of its own
    arithmetic  every operand has its own parameters, constants included
    own         one operand, an output range of its own
    fixed       one operand, output parameters that the kernels assume (parameters.FIXED)
    same        operands and outputs share one set of parameters: stored integers are moved or compared, not rescaled
    reads       operands are integers, the output is not a quantized value (an index)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

Role = Literal["linear", "arithmetic", "own", "fixed", "same", "reads"]


@dataclass(frozen=True, slots=True)
class QuantRule:
    """How an operator is quantized.

    Args:
        data: how many leading inputs are data; None: all of them.
        accepts: whether this node, by its attributes and constants, has an integer kernel.
        channel_axis: for a node with constant weights, the axis of the weight that counts output channels.
    """

    role: Role
    data: int | None = 1
    accepts: Callable[[ir.Node], bool] = lambda node: True
    channel_axis: Callable[[ir.Node], int] = lambda node: 0


def is_constant(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is not None


def constant_of(value: ir.Value) -> NDArray[np.float32]:
    """A constant's numbers as float32."""
    assert value.const_value is not None
    return np.asarray(value.const_value.numpy(), np.float32)


def has_constant_weight(node: ir.Node) -> bool:
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    weight = node.inputs[1]
    assert weight is not None
    return is_constant(weight) and (bias is None or is_constant(bias)) and not is_constant(node.inputs[0])


def convolves_pixels(node: ir.Node) -> bool:
    """A Conv over lines or maps; no target has an integer kernel for more axes."""
    weight = node.inputs[1]
    flat = weight is not None and weight.shape is not None and len(weight.shape) <= 4
    return flat and has_constant_weight(node)


def is_linear_gemm(node: ir.Node) -> bool:
    """A Gemm that is a fully connected layer: y = x W^T + b."""
    plain = node.attributes.get_float("alpha", 1.0) == 1.0 and node.attributes.get_float("beta", 1.0) == 1.0
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    row = bias is None or (bias.shape is not None and len(bias.shape) == 1)
    return has_constant_weight(node) and plain and row and not node.attributes.get_int("transA", 0)


def multiplies_matrix(node: ir.Node) -> bool:
    """A MatMul of two activations, or of an activation with a constant matrix."""
    weight = node.inputs[1]
    assert weight is not None
    if is_constant(node.inputs[0]):
        return False
    return not is_constant(weight) or (weight.shape is not None and len(weight.shape) == 2)


def pads_with_zero(node: ir.Node) -> bool:
    if node.attributes.get_string("mode", "constant") != "constant" or len(node.inputs) < 3 or node.inputs[2] is None:
        return True
    value = node.inputs[2].const_value
    return value is not None and not np.any(value.numpy())


def resizes_by_copy_or_mean(node: ir.Node) -> bool:
    return node.attributes.get_string("mode", "nearest") in ("nearest", "linear")


def has_one_output(node: ir.Node) -> bool:
    """A MaxPool that also returns indices has no integer kernel."""
    return len(node.outputs) == 1


def has_constant_operands(node: ir.Node) -> bool:
    """Everything behind the data (indices, shapes, axes) is constant."""
    return all(value is None or is_constant(value) for value in node.inputs[1:])


RULES: dict[str, QuantRule] = {
    "Conv": QuantRule("linear", accepts=convolves_pixels),
    "Gemm": QuantRule(
        "linear", accepts=is_linear_gemm, channel_axis=lambda node: 0 if node.attributes.get_int("transB", 0) else 1
    ),
    "MatMul": QuantRule("linear", data=2, accepts=multiplies_matrix, channel_axis=lambda node: 1),
    "Add": QuantRule("arithmetic", data=2),
    "Sub": QuantRule("arithmetic", data=2),
    "Mul": QuantRule("arithmetic", data=2),
    "Relu": QuantRule("own"),
    "Clip": QuantRule("own", accepts=has_constant_operands),
    "LeakyRelu": QuantRule("own"),
    "Gelu": QuantRule("own"),
    "GlobalAveragePool": QuantRule("own"),
    "ReduceMean": QuantRule("own", accepts=has_constant_operands),
    "Sigmoid": QuantRule("fixed"),
    "Softmax": QuantRule("fixed"),
    "Tanh": QuantRule("fixed"),
    "AveragePool": QuantRule("same"),
    "Identity": QuantRule("same"),
    "MaxPool": QuantRule("same", accepts=has_one_output),
    "GlobalMaxPool": QuantRule("same"),
    "Concat": QuantRule("same", data=None),
    "DepthToSpace": QuantRule("same"),
    "Flatten": QuantRule("same"),
    "Gather": QuantRule("same", accepts=has_constant_operands),
    "Pad": QuantRule("same", accepts=lambda node: has_constant_operands(node) and pads_with_zero(node)),
    "Reshape": QuantRule("same", accepts=has_constant_operands),
    "Resize": QuantRule("same", accepts=lambda node: has_constant_operands(node) and resizes_by_copy_or_mean(node)),
    "Slice": QuantRule("same", accepts=has_constant_operands),
    "SpaceToDepth": QuantRule("same"),
    "Split": QuantRule("same", accepts=has_constant_operands),
    "Squeeze": QuantRule("same", accepts=has_constant_operands),
    "Transpose": QuantRule("same"),
    "Unsqueeze": QuantRule("same", accepts=has_constant_operands),
    "ArgMax": QuantRule("reads"),
}

# A Relu or Clip right behind one of these is the saturation of its output, not an operator.
FUSES_ACTIVATION = frozenset({"Conv", "Gemm", "MatMul", "Add", "Sub", "Mul"})
ACTIVATIONS = frozenset({"Relu", "Clip"})


def activation_bounds(node: ir.Node) -> tuple[float, float]:
    """What a Relu or a Clip with constant bounds lets through; (-inf, inf) for any other node."""
    if node.op_type == "Relu":
        return 0.0, np.inf
    if node.op_type != "Clip" or not all(value is None or is_constant(value) for value in node.inputs[1:]):
        return -np.inf, np.inf
    low, high = (None if value is None else float(constant_of(value)) for value in (*node.inputs[1:], None, None)[:2])
    return -np.inf if low is None else low, np.inf if high is None else high


def data_inputs(node: ir.Node) -> list[ir.Value]:
    """The inputs of a node with a rule that are feature maps or constant operands: not weights, indices or shapes."""
    rule = RULES[node.op_type]
    values = node.inputs if rule.data is None else node.inputs[: rule.data]
    return [value for value in values if value is not None]


def find_rule(node: ir.Node) -> QuantRule | None:
    """The rule by which this node is quantized, or None when it stays in float.

    A node without rule, one that its rule does not accept, and one that moves integers (a shape computation).
    """
    rule = RULES.get(node.op_type) if node.domain == "" else None
    if rule is None or not data_inputs(node):
        return None
    touched = [*data_inputs(node), *(() if rule.role == "reads" else node.outputs)]
    floats = all(value.dtype == ir.DataType.FLOAT for value in touched)
    return rule if floats and not all(map(is_constant, data_inputs(node))) and rule.accepts(node) else None
