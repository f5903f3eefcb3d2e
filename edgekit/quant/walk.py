"""Walks a float graph node by node with two values of everything: as computed in float, and as stored integers give it.

Each node sees what its predecessors really deliver, so a bias can be corrected for errors that are made before it, and
the first layer that goes wrong can be named. Memory holds the values that are still to be read, for all images.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime import InferenceSession

from edgekit.graph.session import open_session
from edgekit.quant.layers import StoredLayer
from edgekit.quant.operators import constant_of, data_inputs, is_constant
from edgekit.quant.parameters import ActivationType, QParams, choose_constant
from edgekit.quant.plan import Plan, name_of

FloatArray = NDArray[np.float32]
Values = dict[str, FloatArray]
Sessions = dict[bytes, InferenceSession]
"""A model of one node -> the session that runs it."""

# What is added to the bias of a layer, f32[O], given (node, its float result, its result from stored operands).
Correct = Callable[[ir.Node, FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Step:
    """One node that was walked.

    Args:
        reference: its results in float, per output, f32[n, ...].
        stored: the same, computed from stored operands and stored.
        alone: computed from float operands by this node's integers, and stored; empty unless asked for.
    """

    node: ir.Node
    reference: tuple[FloatArray, ...]
    stored: tuple[FloatArray, ...]
    alone: tuple[FloatArray, ...] = ()


@dataclass(frozen=True, slots=True)
class Walker:
    """Both values of every node of one graph.

    Args:
        model: integer-ready float graph; it is not changed.
        params: of every value of the plan, and `layers` the integers of its layers.
        dtype: of constant operands.
    """

    model: ir.Model
    plan: Plan
    params: dict[str, QParams]
    layers: dict[str, StoredLayer]
    dtype: ActivationType

    def walk(self, images: FloatArray, correct: Correct | None = None, *, alone: bool = False) -> Iterator[Step]:
        """Yield each node in graph order; `images` are f32[n, C, H, W].

        Args:
            correct: called once per layer with constant weights and bias; what it gives counts from there on.
            alone: whether to compute `Step.alone`, which takes a third more time.
        """
        source = name_of(self.model.graph.inputs[0])
        reference: Values = {source: images}
        stored: Values = {source: self.store(source, images)}
        readers = Counter(name_of(v) for node in self.model.graph for v in node.inputs if v is not None)
        sessions: Sessions = {}
        for node in self.model.graph:
            run = NodeRunner(node, sessions)
            made = run(reference)
            given = run(self.operands(node, stored))
            if correct is not None and name_of(node) in self.layers and self.layers[name_of(node)].bias is not None:
                given = (given[0] + by_channel(node, given[0], correct(node, made[0], given[0])),)
            kept = self._store_all(node, given)
            yield Step(node, made, kept, self._store_all(node, run(self.operands(node, reference))) if alone else ())
            for value, plain, rounded in zip(node.outputs, made, kept, strict=True):
                reference[name_of(value)], stored[name_of(value)] = plain, rounded
            for value in (v for v in node.inputs if v is not None):
                readers[name_of(value)] -= 1
                if not readers[name_of(value)]:
                    reference.pop(name_of(value), None)
                    stored.pop(name_of(value), None)

    def _store_all(self, node: ir.Node, results: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
        return tuple(self.store(name_of(v), x) for v, x in zip(node.outputs, results, strict=True))

    def store(self, name: str, values: FloatArray) -> FloatArray:
        """What is left of a value after it was stored; itself where it is not stored."""
        params = self.params.get(name)
        return values if params is None else round_trip(values, params)

    def operands(self, node: ir.Node, values: Values) -> Values:
        """What an integer node reads: `values`, stored constants, operands requantized for it, stored weights."""
        rule = self.plan.rules.get(name_of(node))
        chosen = {name_of(v): values[name_of(v)] for v in node.inputs if v is not None and name_of(v) in values}
        layer = self.layers.get(name_of(node))
        if layer is not None:
            names = [name_of(value) for value in node.inputs if value is not None]
            chosen[names[1]] = layer.weight.dequantize()
            bias = layer.kept_bias(self.params[names[0]].scale)
            if bias is not None:
                chosen[names[2]] = bias
        elif rule is not None:
            for index, value in enumerate(data_inputs(node)):
                name = name_of(value)
                if is_constant(value):
                    real = constant_of(value)
                    shared = rule.role == "same"
                    params = self.params[name_of(node.outputs[0])] if shared else choose_constant(real, self.dtype)
                    chosen[name] = round_trip(real, params)
                elif (name_of(node), index) in self.plan.requantized:
                    chosen[name] = round_trip(chosen[name], self.params[name_of(node.outputs[0])])
        return chosen


class NodeRunner:
    """One node as a function of named values: f32[n, ...] each, or a constant without the images' axis.

    Args:
        sessions: of other nodes; one that computes the same is used again, whatever its values are called. A new one
            is added.
    """

    def __init__(self, node: ir.Node, sessions: Sessions) -> None:
        given = {name_of(value): value for value in node.inputs if value is not None}
        self._streams = {name: first_axis(value) for name, value in given.items() if not is_constant(value)}
        self._numbers = {name for name in self._streams if not given[name].shape}
        self._constants = {
            name: constant_of(value)
            for name, value in given.items()
            if is_constant(value) and value.dtype == ir.DataType.FLOAT
        }
        self._called = {name: f"in{index}" for index, name in enumerate(given)}
        self._outputs = [f"out{index}" for index in range(len(node.outputs))]
        model = self._model(node, given)
        if model not in sessions:
            sessions[model] = open_session(model, name_of(node))
        self._session = sessions[model]

    def _model(self, node: ir.Node, given: Mapping[str, ir.Value]) -> bytes:
        """The node alone, under names that are the same for every node."""
        proto = ir.serde.serialize_node(node)
        proto.ClearField("name")
        proto.ClearField("metadata_props")
        proto.input[:] = [self._called.get(name, "") for name in proto.input]
        proto.output[:] = self._outputs
        fed = [name for name in given if name in self._streams or name in self._constants]
        fixed = [name for name in given if name not in fed]
        graph = helper.make_graph(
            [proto],
            "node",
            [_info(given[name], self._called[name]) for name in fed],
            [_info(value, name) for value, name in zip(node.outputs, self._outputs, strict=True)],
            [numpy_helper.from_array(given[name].const_value.numpy(), self._called[name]) for name in fixed],  # type: ignore[union-attr]
        )
        opsets = [helper.make_opsetid("", 21), *([helper.make_opsetid(node.domain, 1)] if node.domain else [])]
        return bytes(
            helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString(deterministic=True)
        )

    def __call__(self, values: Values) -> tuple[FloatArray, ...]:
        """The results, f32[n, ...] each, image by image."""
        constants = {self._called[name]: values.get(name, own) for name, own in self._constants.items()}
        name, rows = next(iter(self._streams.items()))
        results = [
            self._session.run(self._outputs, {**constants, **self._image(values, index)})
            for index in range(len(values[name]) // rows)
        ]
        return tuple(np.concatenate([np.atleast_1d(part) for part in parts]) for parts in zip(*results, strict=True))

    def _image(self, values: Values, index: int) -> Values:
        """The streams of one image, whose first axis is 1, or its windows; a number of an image has no axis."""
        rows_of = {name: values[name][index * rows : (index + 1) * rows] for name, rows in self._streams.items()}
        return {
            self._called[name]: found.reshape(()) if name in self._numbers else found for name, found in rows_of.items()
        }


def first_axis(value: ir.Value) -> int:
    """Rows of a value that belong to one image: 1, or as many as it has windows."""
    assert value.shape is not None
    return int(str(value.shape[0])) if value.shape else 1


def round_trip(values: FloatArray, params: QParams) -> FloatArray:
    """Stored and read back, f32[...]."""
    low, high = params.limits
    scale = np.float32(params.scale)
    steps: FloatArray = np.asarray(values / scale)
    np.rint(steps, out=steps)
    np.clip(steps, low - params.zero_point, high - params.zero_point, out=steps)
    steps *= scale
    return steps


def by_channel(node: ir.Node, result: FloatArray, vector: FloatArray) -> FloatArray:
    """f32[O] shaped to be added to a layer's result: channels are axis 1 of a Conv, the last axis of a product."""
    return vector.reshape(1, -1, *[1] * (result.ndim - 2)) if node.op_type == "Conv" else vector


def _info(value: ir.Value, name: str) -> onnx.ValueInfoProto:
    """The value as an input or output of that name, of any shape."""
    assert value.dtype is not None
    return helper.make_tensor_value_info(name, int(value.dtype), None)
