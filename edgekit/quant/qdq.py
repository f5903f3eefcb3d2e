"""Writes the quantized graph: the float graph with QuantizeLinear and DequantizeLinear between its nodes.

    activation    x -> QuantizeLinear -> DequantizeLinear -> readers
    weight        int8 initializer -> DequantizeLinear(axis) -> node
    bias          int32 initializer -> DequantizeLinear(axis 0) -> node
    constant      int8 or int16 initializer -> DequantizeLinear -> node

The names follow onnxruntime's own quantizer: x_QuantizeLinear, x_scale, x_zero_point, x_quantized.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.errors import EdgekitError
from edgekit.graph.module_path import MODULE_KEY
from edgekit.graph.stored_constants import real_constant
from edgekit.quant.assign import assign
from edgekit.quant.layers import StoredLayer, constant_layers, store_layers
from edgekit.quant.observers import Range
from edgekit.quant.operators import QuantRule, constant_of, data_inputs, is_constant
from edgekit.quant.parameters import ActivationType, QParams, choose_constant
from edgekit.quant.plan import Plan, make_plan, name_of
from edgekit.quant.rewrite import add_constant, free_name
from edgekit.quant.weights import quantize_bias
from edgekit.recipe import Criterion
from edgekit.target import QuantScheme


def quantize(
    model: ir.Model,
    ranges: dict[str, Range],
    scheme: QuantScheme,
    keep_float: Collection[str] = (),
    criterion: Criterion = "mse",
) -> ir.Model:
    """The QDQ form of an integer-ready float graph.

    Args:
        model: as `prepare_integer` returns it; it is not changed.
        ranges: what `calibrate` returned for it.
        scheme: int8 or int16 activations with int8 weights. A scheme with float activations changes nothing here: the
            target's writer converts the weights.
        keep_float: names of nodes that stay in float32.
        criterion: of the ranges of int8 activations.

    Returns:
        A new model; float input and output, quantized between.

    Raises:
        EdgekitError: EK401 for a value without range, EK204 for a graph that is quantized already.
    """
    copy = model.clone()
    if scheme.activation == "float32":
        return copy
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in copy.graph):
        raise EdgekitError("EK204", what="the graph is quantized already", where="quantize", fix="give a float model")
    plan = make_plan(copy, keep_float)
    params = assign(copy, plan, ranges, scheme.activation, criterion)
    layers = store_layers(constant_layers(copy, plan), params, ranges)
    return write_pairs(copy, plan, params, layers, scheme.activation)


def write_pairs(
    model: ir.Model,
    plan: Plan,
    params: dict[str, QParams],
    layers: dict[str, StoredLayer],
    dtype: ActivationType,
    *,
    real_constants: bool = False,
) -> ir.Model:
    """The QDQ form of a float graph whose parameters and integers are decided; the model is rewritten and returned."""
    Writer(model, plan, params, layers, dtype, real_constants=real_constants).write()
    return model


@dataclass(frozen=True, slots=True)
class Pair:
    """The constants of one QuantizeLinear and its DequantizeLinear, and the value whose parameters they are."""

    stored_as: str
    scale: ir.Value
    zero_point: ir.Value


class Writer:
    """Inserts the Q/DQ nodes of one graph, in place; `pairs` are those of activations.

    Args:
        params: of every value of the plan.
        layers: the integers of every layer with constant weights.
        dtype: of constant operands.
        real_constants: whether constants are written as the real numbers that their integers stand for, for a graph
            that is only run: its outputs are the same, and a deep one is written and opened in half the time.
    """

    def __init__(
        self,
        model: ir.Model,
        plan: Plan,
        params: dict[str, QParams],
        layers: dict[str, StoredLayer],
        dtype: ActivationType,
        *,
        real_constants: bool = False,
    ) -> None:
        self._graph, self._plan, self._params, self._layers, self._dtype = model.graph, plan, params, layers, dtype
        self._real_constants = real_constants
        self.pairs: list[Pair] = []

    def write(self) -> None:
        for node in list(self._graph):
            rule = self._plan.rules.get(name_of(node))
            if rule is not None:
                self._quantize_operands(node, rule)
        for value in self._planned_values():
            self._quantize_activation(value)
        unused = [
            value for value in self._graph.initializers.values() if not value.uses() and not value.is_graph_output()
        ]
        for value in unused:
            del self._graph.initializers[name_of(value)]

    def _planned_values(self) -> list[ir.Value]:
        everything = [*self._graph.inputs, *(value for node in self._graph for value in node.outputs)]
        return [value for value in everything if value.name in self._params]

    def _quantize_operands(self, node: ir.Node, rule: QuantRule) -> None:
        if rule.role == "linear" and is_constant(node.inputs[1]):
            self._quantize_linear(node, rule.channel_axis(node))
            return
        for index, value in enumerate(data_inputs(node)):
            if is_constant(value):
                params = self._operand_params(node, rule, value)
                stored = params.quantize(constant_of(value))
                name = f"{value.name}_{node.name}"
                node.replace_input_with(index, self._store(name, stored, params.scale, params.zero_point, node))
            elif (name_of(node), index) in self._plan.requantized:
                node.replace_input_with(index, self._requantize(node, index, value))

    def _operand_params(self, node: ir.Node, rule: QuantRule, value: ir.Value) -> QParams:
        """A constant among operands that share parameters has theirs; elsewhere its own."""
        if rule.role == "same":
            return self._params[name_of(node.outputs[0])]
        return choose_constant(constant_of(value), self._dtype)

    def _quantize_linear(self, node: ir.Node, axis: int) -> None:
        weight, bias = node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else None
        assert node.inputs[0] is not None
        assert weight is not None
        input_scale, layer = self._params[name_of(node.inputs[0])].scale, self._layers[name_of(node)]
        name = f"{weight.name}_{node.name}" if len(weight.uses()) > 1 else name_of(weight)
        stored = self._store(name, layer.weight.stored, layer.weight.scale, 0, node, axis)
        node.replace_input_with(1, stored)
        if bias is not None and layer.bias is not None:
            scale = layer.bias_scale(input_scale)
            name = f"{bias.name}_{node.name}" if len(bias.uses()) > 1 else name_of(bias)
            node.replace_input_with(2, self._store(name, quantize_bias(layer.bias, scale), scale, 0, node, 0))

    def _requantize(self, node: ir.Node, index: int, value: ir.Value) -> ir.Value:
        """Another Q/DQ pair on one edge: the operand's own parameters are not those of its reader."""
        return self._insert_pair(value, name_of(node.outputs[0]), f"{value.name}_{node.name}_{index}", node)

    def _quantize_activation(self, value: ir.Value) -> None:
        name, readers = name_of(value), list(value.uses())
        is_output = value.is_graph_output()
        if is_output:
            value.name = f"{name}_float"
        restored = self._insert_pair(value, name, name, value.producer())
        for reader, index in readers:
            reader.replace_input_with(index, restored)
        if is_output:
            restored.name = name
            self._graph.outputs[:] = [restored if output is value else output for output in self._graph.outputs]

    def _insert_pair(self, value: ir.Value, stored_as: str, name: str, near: ir.Node | None) -> ir.Value:
        """QuantizeLinear and DequantizeLinear behind a value; the restored float value.

        Args:
            stored_as: the value whose parameters they have.
        """
        params = self._params[stored_as]
        scale = add_constant(self._graph, f"{name}_scale", np.array(params.scale, np.float32))
        zero_point = add_constant(self._graph, f"{name}_zero_point", np.array(params.zero_point, params.dtype))
        self.pairs.append(Pair(stored_as, scale, zero_point))
        quantized = self._node("QuantizeLinear", [value, scale, zero_point], name, near)
        quantized.dtype, quantized.shape = ir.DataType[params.dtype.upper()], value.shape
        restored = self._node("DequantizeLinear", [quantized, scale, zero_point], name, near)
        restored.dtype, restored.shape = ir.DataType.FLOAT, value.shape
        pair = [quantized.producer(), restored.producer()]
        producer = value.producer()
        if producer is not None:
            self._graph.insert_after(producer, pair)  # type: ignore[arg-type]
        else:
            self._graph.insert_before(self._graph[0], pair)  # type: ignore[arg-type]
        return restored

    def _store(
        self,
        name: str,
        stored: NDArray[np.generic],
        scale: NDArray[np.float32] | float,
        zero_point: int,
        reader: ir.Node,
        axis: int | None = None,
    ) -> ir.Value:
        """An integer initializer and the DequantizeLinear before its reader; the restored float value."""
        scale = np.asarray(scale, np.float32)
        zero_points = np.full(scale.shape, zero_point, stored.dtype)
        if self._real_constants:
            free = free_name(self._graph, f"{name}_restored")
            return real_constant(self._graph, free, stored, scale, zero_points, 1 if axis is None else axis)
        inputs = [
            add_constant(self._graph, f"{name}_quantized", stored),
            add_constant(self._graph, f"{name}_scale", scale),
            add_constant(self._graph, f"{name}_zero_point", zero_points),
        ]
        restored = self._node("DequantizeLinear", inputs, name, reader, {} if axis is None else {"axis": axis})
        restored.dtype, restored.shape = ir.DataType.FLOAT, ir.Shape(stored.shape)
        node = restored.producer()
        assert node is not None
        self._graph.insert_before(reader, [node])
        return restored

    def _node(
        self,
        op: str,
        inputs: list[ir.Value],
        name: str,
        near: ir.Node | None,
        attributes: dict[str, int] | None = None,
    ) -> ir.Value:
        """A Q or DQ node with the module path of the node it belongs to."""
        module = near.metadata_props.get(MODULE_KEY) if near is not None else None
        node = ir.node(
            op,
            inputs,
            attributes or None,
            name=f"{name}_{op}",
            metadata_props={MODULE_KEY: module} if module is not None else None,
        )
        node.outputs[0].name = f"{name}_{op}_Output"
        return node.outputs[0]
