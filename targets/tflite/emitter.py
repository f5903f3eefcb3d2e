"""What lowering rules write with: tensors in a wished layout, operators with the clamp that follows them."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgekit.quant.weights import quantize_weight
from edgekit.target import EmittedNode, QuantScheme
from edgekit.targets.tflite.builtins import BUILTINS, Version
from edgekit.targets.tflite.flatbuffer import FlatbufferWriter
from edgekit.targets.tflite.graph import Quant, Tensor
from edgekit.targets.tflite.layout import Perm, between, identity, same_order, stored_shape
from edgekit.targets.tflite.qdq import quantize_array

Activation = schema.ActivationFunctionType
_FUSED = {(0.0, np.inf): Activation.RELU, (0.0, 6.0): Activation.RELU6, (-1.0, 1.0): Activation.RELU_N1_TO_1}
MIN_HALF_ELEMENTS = 64  # below this a float16 copy and its DEQUANTIZE cost more than they save
MIN_DYNAMIC_ELEMENTS = 1024  # smaller constants stay float32 under dynamic-range quantization, as every converter does


class Emitter:
    """Writes one graph. Rules ask for inputs in the layout they want; movement happens here and nowhere else."""

    def __init__(self, writer: FlatbufferWriter, scheme: QuantScheme) -> None:
        self.writer, self.scheme = writer, scheme
        self._module, self._refusal = "", ""
        self._layout: dict[int, Perm] = {}
        self._index: dict[tuple[int, Perm], int] = {}
        self._root: dict[int, tuple[Tensor, Perm]] = {}
        self._reshaped_by: dict[int, str] = {}
        self._requantized: dict[tuple[int, float, int], Tensor] = {}
        self._non_negative: set[int] = set()
        self._keep: list[Tensor] = []  # ids stay unique only while their tensors live

    def at(self, module: str, refusal: str = "") -> None:
        """The operators that follow come from `module`; `refusal` is why the delegate will not take them."""
        self._module, self._refusal = module, refusal

    # -- activations -------------------------------------------------------------------------------------------------

    def layout(self, tensor: Tensor) -> Perm:
        """The layout in which an activation lies (constants have none of their own: ONNX order)."""
        return self._layout.get(id(tensor), identity(len(tensor.shape)))

    def output(self, tensor: Tensor, perm: Perm) -> int:
        """Add `tensor` as an operator's output, stored as `perm`."""
        index = self.writer.tensor(tensor.name, stored_shape(tensor.shape, perm), tensor.dtype, tensor.quant)
        self._layout[id(tensor)] = perm
        self._index[id(tensor), perm] = index
        self._keep.append(tensor)
        return index

    def input(self, tensor: Tensor, perm: Perm | None = None) -> int:
        """The index of `tensor` stored as `perm` (None: as it lies), moved there if it lies otherwise."""
        wanted = self.layout(tensor) if perm is None else perm
        key = (id(tensor), wanted)
        if key not in self._index:
            self._index[key] = self._constant(tensor, wanted) if tensor.is_constant else self._move(tensor, wanted)
        return self._index[key]

    def _place(self, tensor: Tensor) -> tuple[Tensor, Perm]:
        """The tensor that was written with these bytes, and its layout."""
        return self._root.get(id(tensor), (tensor, self.layout(tensor)))

    def reshape(self, source: Tensor, tensor: Tensor, perm: Perm) -> None:
        """`tensor` is `source`'s bytes with other axes, stored as `perm`.

        Nothing is written yet: a reader that wants the shape in which the bytes lie already gets them as they are.
        """
        self._root[id(tensor)] = self._place(source)
        self._reshaped_by[id(tensor)] = self._module
        self._layout[id(tensor)] = perm
        if self.is_non_negative(source):
            self._non_negative.add(id(tensor))

    def is_non_negative(self, tensor: Tensor) -> bool:
        """Whether an activation is known to be >= 0."""
        return id(tensor) in self._non_negative

    def mark_non_negative(self, tensor: Tensor) -> None:
        self._non_negative.add(id(tensor))

    def moved(self, tensor: Tensor, perm: Perm) -> Tensor:
        """`tensor` as one that lies as `perm`: itself where it does."""
        if self.layout(tensor) == perm:
            return tensor
        twin = self.scratch(tensor)
        self._layout[id(twin)] = perm
        self._index[id(twin), perm] = self.input(tensor, perm)
        return twin

    def scratch(self, like: Tensor, shape: tuple[int, ...] | None = None, quant: Quant | None = None) -> Tensor:
        """A new intermediate tensor of `like`'s dtype, in ONNX order."""
        tensor = Tensor(like.name, like.shape if shape is None else shape, like.dtype, quant or like.quant)
        self._keep.append(tensor)
        return tensor

    def requantized(self, tensor: Tensor, quant: Quant | None) -> Tensor:
        """`tensor` with other quantization parameters: itself where they are equal, else through QUANTIZE."""
        if quant is None or tensor.quant is None or tensor.quant.same_as(quant):
            return tensor
        if tensor.data is not None:
            twin = self.scratch(tensor, quant=quant)
            twin.data = quantize_array(tensor.numbers(), quant, tensor.dtype)
            return twin
        key = (id(tensor), float(quant.scale[0]), int(quant.zero_point[0]))
        if key not in self._requantized:
            twin = self.scratch(tensor, quant=quant)
            self.write("QUANTIZE", [self.input(tensor)], twin, self.layout(tensor))
            self._requantized[key] = twin
        return self._requantized[key]

    def _move(self, tensor: Tensor, wanted: Perm) -> int:
        lies, shape = self.layout(tensor), stored_shape(tensor.shape, wanted)
        if not same_order(tensor.shape, lies, wanted):
            return self._transpose(tensor, lies, wanted)
        root, root_perm = self._place(tensor)
        if stored_shape(root.shape, root_perm) == shape:
            return self._index[id(root), root_perm]
        index = self.writer.tensor(tensor.name, shape, tensor.dtype, tensor.quant)
        new_shape = np.array(shape, np.int32)
        inputs = [self._index[id(root), root_perm], self.parameter(new_shape, "shape")]
        module = self._reshaped_by.get(id(tensor), self._module)
        self._operator("RESHAPE", inputs, [index], {"newShape": new_shape}, tensor.dtype, None, module)
        return index

    def copy(self, tensor: Tensor, source: int, perm: Perm) -> int:
        """The same bytes as another tensor, through a RESHAPE to the shape that they have."""
        shape = np.array(stored_shape(tensor.shape, perm), np.int32)
        index = self.writer.tensor(tensor.name, tuple(shape.tolist()), tensor.dtype, tensor.quant)
        inputs = [source, self.parameter(shape, "shape")]
        self._operator("RESHAPE", inputs, [index], {"newShape": shape}, tensor.dtype, None)
        return index

    def _transpose(self, tensor: Tensor, lies: Perm, wanted: Perm) -> int:
        source = self.input(tensor, lies)
        index = self.writer.tensor(tensor.name, stored_shape(tensor.shape, wanted), tensor.dtype, tensor.quant)
        order = self.parameter(np.array(between(lies, wanted), np.int32), "permutation")
        rank = len(tensor.shape)
        version: Version | None = None
        if rank > 4:
            version = (6, "2.12.0") if rank > 5 else (4, "2.3.0")
        if rank == 5 and tensor.dtype == "int16":
            version = None
        self._operator("TRANSPOSE", [source, order], [index], {}, tensor.dtype, version)
        return index

    # -- constants ---------------------------------------------------------------------------------------------------

    def parameter(self, values: NDArray[Any], name: str = "parameter") -> int:
        """A constant that an operator reads as its parameter (shape, axes, pads)."""
        return self.writer.tensor(name, values.shape, values.dtype.name, data=values)

    def _constant(self, tensor: Tensor, perm: Perm) -> int:
        assert tensor.data is not None
        quant = tensor.quant
        if quant is not None and quant.axis is not None:
            quant = Quant(quant.scale, quant.zero_point, perm.index(quant.axis))
        data = np.ascontiguousarray(tensor.data.transpose(perm))
        return self.writer.tensor(tensor.name, data.shape, tensor.dtype, quant, data)

    def weights(self, name: str, data: NDArray[Any], quant: Quant | None, axis: int, *, dynamic: bool = True) -> int:
        """Weights of a linear operator in stored order, encoded as the target's scheme says.

        Args:
            data: float, or the stored integers of `quant`.
            quant: with `axis` already in stored order.
            axis: the output-channel axis of `data`, for dynamic-range weights.
            dynamic: whether the operator has a delegated kernel for int8 weights beside float activations.
        """
        if quant is None and self.scheme.weight == "float16" and data.size >= MIN_HALF_ELEMENTS:
            return self._half(name, data)
        if quant is None and dynamic and self.is_dynamic(data):
            found = quantize_weight(data, axis)
            data, quant = found.stored, Quant(found.scale, np.zeros(found.scale.shape, np.int64), axis)
        return self.writer.tensor(name, data.shape, data.dtype.name, quant, np.ascontiguousarray(data))

    def is_dynamic(self, data: NDArray[Any]) -> bool:
        """Whether float weights of this size are stored as int8 beside float activations."""
        dynamic = self.scheme.weight == "int8" and self.scheme.activation == "float32"
        return dynamic and data.size >= MIN_DYNAMIC_ELEMENTS

    def _half(self, name: str, data: NDArray[Any]) -> int:
        half = self.writer.tensor(name, data.shape, "float16", data=np.ascontiguousarray(data.astype(np.float16)))
        full = self.writer.tensor(name, data.shape, "float32")
        self._operator("DEQUANTIZE", [half], [full], {}, "float16", (3, "1.15.0"))
        return full

    # -- operators ---------------------------------------------------------------------------------------------------

    def write(
        self,
        builtin: str,
        inputs: list[int],
        output: Tensor,
        perm: Perm,
        options: dict[str, Any] | None = None,
        *,
        clamp: tuple[float, float] | None = None,
        version: Version | None = None,
    ) -> None:
        """Append an operator with one output, and the clamp behind it where it cannot be fused."""
        options = dict(options or {})
        fused = None if clamp is None else fused_activation(clamp, output)
        if clamp is None or fused is not None:
            if fused:
                options["fusedActivationFunction"] = fused
            index = self.output(output, perm)
            self._operator(builtin, inputs, [index], options, output.dtype, version)
            if clamp is not None and clamp[0] >= 0:
                self._non_negative.add(id(output))
            return
        free = self.scratch(output)
        self.write(builtin, inputs, free, perm, options, version=version)
        self.clamp(free, output, clamp)

    def write_many(
        self, builtin: str, inputs: list[int], outputs: list[tuple[Tensor, Perm]], options: dict[str, Any]
    ) -> None:
        """Append an operator with several outputs."""
        indices = [self.output(tensor, perm) for tensor, perm in outputs]
        self._operator(builtin, inputs, indices, options, outputs[0][0].dtype, None)

    def clamp(self, source: Tensor, output: Tensor, clamp: tuple[float, float]) -> None:
        """A clamp on its own: RELU or RELU6, else MAXIMUM and MINIMUM with constants of the output's scale."""
        perm, fused = self.layout(source), fused_activation(clamp, output)
        own = {Activation.RELU: "RELU", Activation.RELU6: "RELU6", Activation.RELU_N1_TO_1: "RELU_N1_TO_1"}
        if fused in own and BUILTINS[own[fused]].version(output.dtype):  # these kernels change the scale themselves
            self.write(own[fused], [self.input(source)], output, perm)
            return
        source = self.requantized(source, output.quant)
        bounds = [(name, b) for name, b in zip(("MAXIMUM", "MINIMUM"), clamp, strict=True) if np.isfinite(b)]
        if fused == Activation.NONE or not bounds:
            self.reshape(source, output, perm)
            return
        for position, (builtin, bound) in enumerate(bounds):
            target = output if position == len(bounds) - 1 else self.scratch(output)
            self.write(builtin, [self.input(source), self.scalar(bound, output)], target, perm)
            source = target

    def scalar(self, value: float, like: Tensor) -> int:
        """A one-element constant of `like`'s dtype and quantization."""
        real = np.array([value], np.float32)
        stored = real if like.quant is None else quantize_array(real, like.quant, like.dtype)
        return self.writer.tensor(f"{value:g}", (1,), like.dtype, like.quant, stored)

    def _operator(
        self,
        builtin: str,
        inputs: list[int],
        outputs: list[int],
        options: dict[str, Any],
        dtype: str,
        version: Version | None,
        module: str | None = None,
    ) -> None:
        chosen = version or BUILTINS[builtin].version(dtype)
        assert chosen is not None, f"{builtin} has no {dtype} kernel; the rule's `integer` is wrong"
        node = EmittedNode(builtin, module or self._module, self._refusal if module is None else "")
        self.writer.operator(node, inputs, outputs, options, chosen)


def fused_activation(clamp: tuple[float, float], output: Tensor) -> int | None:
    """The fused activation that does `clamp` on `output`; None where there is none.

    On integers a bound at or beyond the end of the stored range needs no operation: saturation is the clamp.
    """
    low, high = clamp
    if output.quant is not None:
        limits = np.iinfo(output.dtype)
        scale, zero = float(output.quant.scale[0]), int(output.quant.zero_point[0])
        if np.isfinite(low) and round(low / scale) + zero <= limits.min:
            low = -np.inf
        if np.isfinite(high) and round(high / scale) + zero >= limits.max:
            high = np.inf
        if (low, high) == (-np.inf, 6.0) and clamp[0] == 0.0:
            low = 0.0
    if (low, high) == (-np.inf, np.inf):
        return int(Activation.NONE)
    found = _FUSED.get((low, high))
    return None if found is None else int(found)
