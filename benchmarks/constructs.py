"""The constructs that benchmarks/forms.py measures, in every form in which they can be written.

A form is a function that writes itself into a graph behind a value; which is the first 1x1 convolution's, so that
nothing of it is fused into the input.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from edgekit.quant import calibrate, quantize
from edgekit.quant.hard_swish import find_gates, shift_by_bands, shift_by_layer
from edgekit.target import EmitOptions, targets

ROOT_6 = sqrt(6.0)
READ = 8
"""Channels of the input and of the last convolution."""


class Shape(NamedTuple):
    """f32[1, channels, side, side]."""

    channels: int
    side: int

    @property
    def elements(self) -> int:
        return self.channels * self.pixels

    @property
    def pixels(self) -> int:
        return self.side * self.side

    def __str__(self) -> str:
        return f"{self.side}x{self.side}x{self.channels}"


@dataclass
class Sketch:
    """A graph that is being written."""

    shape: Shape
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def constant(self, array: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """The first output's name; others are called name.1 and so on."""
        name = f"v{len(self.nodes)}"
        names = [name, *(f"{name}.{index}" for index in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"n{len(self.nodes)}", **attributes))
        return name

    def conv(
        self,
        x: str,
        inputs: int,
        outputs: int,
        side: int = 1,
        *,
        group: int = 1,
        stride: int = 1,
        pad: int | None = None,
    ) -> str:
        weight = self.random.standard_normal((outputs, inputs // group, side, side)) / sqrt(
            inputs // group * side * side
        )
        bias = 0.1 * self.random.standard_normal(outputs)
        pads = [side // 2] * 4
        options: dict[str, Any] = {"kernel_shape": [side, side], "pads": pads, "strides": [stride] * 2}
        return self.op("Conv", x, self.constant(weight), self.constant(bias), dilations=[1, 1], group=group, **options)

    def clip(self, x: str, low: float, high: float) -> str:
        return self.op("Clip", x, self.constant(low), self.constant(high))

    def model(self, result: str) -> ir.Model:
        graph = helper.make_graph(
            self.nodes,
            "form",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, READ, self.shape.side, self.shape.side))],
            [helper.make_tensor_value_info(result, TensorProto.FLOAT, None)],
            self.constants,
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


Write = Callable[[Sketch, str], str]


@dataclass(frozen=True)
class Form:
    """One way to write a construct.

    Args:
        write: puts it behind a value of the shape; the value that it makes.
        bare: what stands in its place in the file that it is measured against; nothing, where that is None.
        finish: a rewrite of the whole graph behind it.
        mac: multiply-accumulates per element of the result, for a shape.
    """

    name: str
    shapes: tuple[Shape, ...]
    write: Write
    bare: Write | None = None
    finish: Callable[[ir.Model], None] = lambda model: None
    mac: Callable[[Shape], float] = lambda shape: 0.0

    def macs(self, shape: Shape) -> int:
        return round(self.mac(shape) * shape.elements)

    def file(self, shape: Shape) -> bytes:
        sketch = Sketch(shape)
        made = self.write(sketch, sketch.conv("x", READ, shape.channels))
        model = sketch.model(sketch.conv(made, shape.channels, READ))
        self.finish(model)
        return emit(model, shape)

    def without(self, shape: Shape) -> bytes:
        sketch = Sketch(shape)
        given = sketch.conv("x", READ, shape.channels)
        made = given if self.bare is None else self.bare(sketch, given)
        return emit(sketch.model(sketch.conv(made, shape.channels, READ)), shape)


def emit(model: ir.Model, shape: Shape) -> bytes:
    target = targets.get("tflite-int8")
    images = np.random.default_rng(1).standard_normal((4, READ, shape.side, shape.side)).astype(np.float32)
    graph = quantize(model, calibrate(model, [images]), target.scheme)
    data: bytes = target.emit(graph, target, EmitOptions()).data
    return data


def gated(shift: Callable[[Sketch, str], str]) -> Write:
    """x * clip(shift(x), 0, sqrt 6)."""
    return lambda s, x: s.op("Mul", x, s.clip(shift(s, x), 0.0, ROOT_6))


def add_shift(s: Sketch, x: str) -> str:
    return s.op("Add", x, s.constant(3 / ROOT_6))


def second_producer(s: Sketch, x: str) -> str:
    return s.conv("x", READ, s.shape.channels)


def stretch(model: ir.Model, *, bands: bool) -> None:
    """Give the gate's layer other weights than 1, equal in each band."""
    [gate] = shift_by_layer(model, find_gates(model))
    factors = np.repeat(np.linspace(0.5, 1.0, gate.channels // 4), 4).astype(np.float32)
    weight = gate.shift.inputs[1]
    assert weight is not None
    weight.const_value = ir.Tensor(factors.reshape(-1, 1, 1, 1), name=weight.name)
    if bands:
        assert shift_by_bands(model, gate, np.split(np.arange(gate.channels), gate.channels // 4))


def layer(s: Sketch, x: str) -> str:
    return s.op("Relu", s.conv(x, s.shape.channels, s.shape.channels))


def per_channel(s: Sketch) -> str:
    return s.constant(np.linspace(0.5, 1.0, s.shape.channels).reshape(1, -1, 1, 1))


def affine(s: Sketch, x: str) -> str:
    return s.op("Relu", s.op("Add", s.op("Mul", x, per_channel(s)), per_channel(s)))


def squeeze_excite(s: Sketch, x: str) -> str:
    channels = s.shape.channels
    pooled = s.op("GlobalAveragePool", x)
    opened = s.clip(s.conv(pooled, channels, channels), 0.0, 1.0)
    return s.op("Mul", x, opened)


MAPS = (Shape(16, 112), Shape(24, 56), Shape(96, 28), Shape(576, 7))
NARROW = (Shape(8, 56), Shape(16, 56), Shape(16, 112), Shape(20, 56))
WIDE = (Shape(16, 56), Shape(64, 56), Shape(256, 28), Shape(1024, 7))


def depthwise(side: int) -> Write:
    return lambda s, x: s.op("Relu", s.conv(x, s.shape.channels, s.shape.channels, side, group=s.shape.channels))


CONSTRUCTS: dict[str, tuple[Form, ...]] = {
    "hard_swish": (
        Form("addition", MAPS, gated(add_shift)),
        Form("bands", NARROW, gated(add_shift), finish=lambda model: stretch(model, bands=True)),
        Form("layer", MAPS, gated(add_shift), finish=lambda model: stretch(model, bands=False)),
        Form("builtin", MAPS, lambda s, x: s.op("HardSwish", x)),
        Form("second_producer", MAPS, gated(second_producer)),
    ),
    "norm": (
        Form("layer", WIDE, depthwise(1)),
        Form("mul_add", WIDE, affine),
    ),
    "convolution": (
        Form(
            "dense",
            (Shape(16, 56), Shape(96, 14), Shape(240, 14)),
            lambda s, x: s.op("Relu", s.conv(x, s.shape.channels, s.shape.channels)),
            mac=lambda shape: shape.channels,
        ),
        Form(
            "window",
            (Shape(16, 56), Shape(64, 28), Shape(96, 14)),
            lambda s, x: s.op("Relu", s.conv(x, s.shape.channels, s.shape.channels, 3)),
            mac=lambda shape: 9 * shape.channels,
        ),
        Form("depthwise", MAPS, depthwise(3), mac=lambda shape: 9),
        Form("depthwise_5", MAPS, depthwise(5), mac=lambda shape: 25),
    ),
    "residual": (Form("add", MAPS, lambda s, x: s.op("Add", x, layer(s, x)), bare=layer),),
    "gate": (Form("squeeze_excite", MAPS, squeeze_excite),),
}
