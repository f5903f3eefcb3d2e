"""From a canonical ONNX graph (float or QDQ) to the bytes of the .onnx file that ONNX Runtime runs fastest."""

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir

from edgekit.errors import EdgekitError
from edgekit.graph.constants import remove_unread
from edgekit.graph.external_data import is_too_large, put_beside
from edgekit.graph.module_path import module_of
from edgekit.target import EmitOptions, Emitted, EmittedNode, Layout, Target, TensorInfo
from edgekit.targets.onnxruntime.activations import set_io, store_as_uint8
from edgekit.targets.onnxruntime.dynamic import quantize_products
from edgekit.targets.onnxruntime.pads import keep_pads_apart
from edgekit.targets.onnxruntime.softmaxes import write_out_fine_softmaxes

IR_VERSION = 10
MIN_RUNTIME = "1.18.0"  # the first with opset 21 and IR version 10
PRODUCER = "edgekit"
WEIGHTS_FILE = "model.onnx.data"
"""Where the weights of a graph lie that cannot hold them itself, beside its file."""


def emit(model: ir.Model, target: Target, options: EmitOptions) -> Emitted:
    """Write `model` for ONNX Runtime on CPU.

    Raises:
        EdgekitError: EK302 for an `io` that the target does not have.
    """
    graph = model.clone()
    quantized = target.scheme.needs_calibration
    if options.io not in (None, "float32") and not quantized:
        raise EdgekitError(
            "EK302",
            what=f"target {target.name!r} has no {options.io} input and output",
            where="--io",
            fix="use --io float32, or leave it out",
        )
    if quantized:
        store_as_uint8(graph)
        if options.io in ("int8", "uint8"):
            set_io(graph, options.io)
    elif target.scheme.weight == "int8":
        graph = quantize_products(graph)
    keep_pads_apart(graph)
    write_out_fine_softmaxes(graph)
    remove_unread(graph)
    beside = {}
    if is_too_large(graph):
        apart = put_beside(graph, WEIGHTS_FILE)
        graph, beside = apart.model, {WEIGHTS_FILE: apart.file()}
    nodes = tuple(EmittedNode(node.op_type, module_of(node)) for node in graph.graph)
    return Emitted(
        data=serialize(graph),
        inputs=tuple(_describe(value) for value in graph.graph.inputs),
        outputs=tuple(_describe(value) for value in graph.graph.outputs),
        operators=dict(sorted(Counter(node.operator for node in nodes).items())),
        nodes=nodes,
        min_runtime=MIN_RUNTIME,
        beside=beside,
    )


def serialize(model: ir.Model) -> bytes:
    """The file's bytes: the same graph gives the same bytes.

    Initializers are not repeated in value_info: a tool that replaces one (onnxruntime's quantizer) would contradict it.
    """
    model.ir_version, model.producer_name, model.producer_version = IR_VERSION, PRODUCER, None
    proto = ir.to_proto(model)
    constants = {tensor.name for tensor in proto.graph.initializer}
    kept = [info for info in proto.graph.value_info if info.name not in constants]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(sorted(kept, key=lambda info: info.name))
    onnx.checker.check_model(_self_contained(proto))
    return bytes(proto.SerializeToString(deterministic=True))


def _self_contained(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with inputs in the place of external data, which the checker would look for on the disk."""
    external = [tensor for tensor in proto.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    if not external:
        return proto
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    kept = [tensor for tensor in copy.graph.initializer if tensor.data_location != onnx.TensorProto.EXTERNAL]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(kept)
    copy.graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in external
    )
    return copy


def _describe(value: ir.Value) -> TensorInfo:
    shape = tuple(size for size in value.shape or () if isinstance(size, int))  # all of them: simplify saw to it
    layouts: dict[int, Layout] = {4: "NCHW", 2: "NC"}
    scale, zero_point = quantization(value)
    dtype = value.dtype.numpy().name if value.dtype is not None else "float32"
    return TensorInfo(str(value.name), shape, dtype, layouts.get(len(shape), "other"), scale, zero_point)


def quantization(value: ir.Value) -> tuple[float | None, int | None]:
    """(scale, zero point) of an integer input or output, from the Q or DQ node at it; (None, None) for a float one."""
    if value.dtype == ir.DataType.FLOAT:
        return None, None
    neighbours = [value.producer(), *(node for node, _ in value.uses())]
    for node in neighbours:
        if node is not None and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            scale, zero = (parameter.const_value for parameter in node.inputs[1:3] if parameter is not None)
            if scale is not None and zero is not None:
                return float(np.asarray(scale.numpy()).reshape(())), int(np.asarray(zero.numpy()).reshape(()))
    return None, None
