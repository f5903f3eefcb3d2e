"""From a canonical ONNX graph (float or QDQ) to the bytes of a .tflite file."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import onnx_ir as ir

from edgekit.errors import EdgekitError, Table
from edgekit.passes.split_depthwise import split_depthwise
from edgekit.target import EmitOptions, Emitted, Layout, QuantScheme, Target, TensorInfo
from edgekit.targets.tflite.decompositions import decompose
from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.flatbuffer import FlatbufferWriter
from edgekit.targets.tflite.fold_additions import fold_additions
from edgekit.targets.tflite.fold_flatten import fold_flattens
from edgekit.targets.tflite.fold_gather import fold_gathers
from edgekit.targets.tflite.fold_hard_sigmoid import fold_hard_sigmoids
from edgekit.targets.tflite.fuse import fuse_clamps
from edgekit.targets.tflite.graph import Graph, Node, Quant, Tensor, read_graph
from edgekit.targets.tflite.layout import Perm, channels_last, identity, stored_shape
from edgekit.targets.tflite.qdq import absorb_qdq, strip_io
from edgekit.targets.tflite.rules import lowerings

ELSEWHERE = "change the model there, or export it with --target ort-fp32 or ort-int8, which run it"
NOT_LOWERED = {
    "GridSample": "only a grid that depends on no image is sampled, linear or nearest",
    "LSTM": "only a fixed length and the usual activations are unrolled",
    "GRU": "only a fixed length and the usual activations are unrolled",
    "MaxUnpool": "only the places of a pool over windows side by side are put back",
    "ScatterND": "only constant places are written to",
    "NonMaxSuppression": "it keeps as many boxes as the image decides; leave it to the app",
    "NonZero": "it finds as many places as the image decides",
    "Loop": "it runs as often as the image decides",
}
"""Why an operator that is written as others only in some forms has none in this one."""


def emit(model: ir.Model, target: Target, options: EmitOptions) -> Emitted:
    """Lower `model` to TFLite.

    Raises:
        EdgekitError: EK301 with a row per node that has no lowering; EK302 for an `io` that the target does not have.
    """
    quantized = target.scheme.needs_calibration
    io = options.io or (target.scheme.activation if quantized else "float32")
    _check_io(io, target)
    graph = lowerable(model)
    if io != "float32":
        strip_io(graph)
    rejections = reject(graph, target.scheme)
    if rejections:
        raise _rejected(rejections, len(graph.nodes), target.name)
    writer = FlatbufferWriter()
    emitter = Emitter(writer, target.scheme)
    inputs = [_write_input(emitter, tensor, io) for tensor in graph.inputs]
    for node in graph.nodes:
        _lower(emitter, node)
    outputs: list[tuple[int, TensorInfo]] = []
    for tensor in graph.outputs:
        taken = {index for index, _ in inputs + outputs}
        outputs.append(_write_output(emitter, tensor, io, taken))
    data = writer.pack(*({info.name: index for index, info in side} for side in (inputs, outputs)))
    return Emitted(
        data=data,
        inputs=tuple(info for _, info in inputs),
        outputs=tuple(info for _, info in outputs),
        operators=dict(sorted(Counter(node.operator for node in writer.nodes).items())),
        nodes=tuple(writer.nodes),
        min_runtime=writer.min_runtime,
    )


def lowerable(model: ir.Model) -> Graph:
    """The writer's view of `model`, with what XNNPACK runs slowly rewritten and quantization moved onto tensors."""
    model = model.clone()
    decompose(model)
    split_depthwise(model)
    graph = read_graph(model)
    fuse_clamps(graph)
    absorb_qdq(graph, _has_integer_kernel)
    fold_additions(graph)
    fold_hard_sigmoids(graph)
    fold_gathers(graph)
    fold_flattens(graph)
    return graph


def _has_integer_kernel(node: Node, dtype: str) -> bool:
    if node.op not in lowerings or _dynamic([*node.inputs, *node.outputs], "") is not None:
        return False
    rule = lowerings.get(node.op)
    if dtype == "int8" and rule.slow_int8(node) is not None:
        return False
    return dtype in rule.integer and rule.stays_float(node) is None


def reject(graph: Graph, scheme: QuantScheme) -> list[tuple[Node, str, str]]:
    """(node, reason, fix) for every node that cannot be lowered, not only the first."""
    found = []
    for node in graph.nodes:
        if node.op not in lowerings:
            found.append((node, f"{NOT_LOWERED.get(node.op, 'no lowering rule')}", ELSEWHERE))
            continue
        rule = lowerings.get(node.op)
        reason = _dynamic(node.inputs, "input") or rule.legal(node) or _dynamic(node.outputs, "output")
        if reason:
            found.append((node, reason, ELSEWHERE))
    return found


def _dynamic(tensors: Sequence[Tensor | None], side: str) -> str | None:
    dynamic = any(size < 0 for tensor in tensors if tensor is not None for size in tensor.shape)
    return f"the {side} shape is not static" if dynamic else None


def _rejected(rejections: Iterable[tuple[Node, str, str]], total: int, target: str) -> EdgekitError:
    rows = tuple((node.name, node.op, node.module or "-", reason, fix) for node, reason, fix in rejections)
    return EdgekitError(
        "EK301",
        what=f"target {target!r} cannot lower {len(rows)} of {total} nodes",
        where=", ".join(sorted({row[2] if row[2] != "-" else row[0] for row in rows})[:3]),
        fix="see the table; every node is listed",
        table=Table(("node", "op", "module", "reason", "fix"), rows),
    )


def _check_io(io: str, target: Target) -> None:
    allowed = {"float32"} | ({target.scheme.activation} if target.scheme.needs_calibration else set())
    if target.scheme.activation == "int8":
        allowed.add("uint8")
    if io not in allowed:
        raise EdgekitError(
            "EK302",
            what=f"target {target.name!r} has no {io} input and output",
            where="--io",
            fix=f"leave --io out, or use {' or '.join(sorted(allowed - {'int16'}))}",
        )


def _lower(emitter: Emitter, node: Node) -> None:
    rule = lowerings.get(node.op)
    emitter.at(node.module or node.name, rule.delegate(node) or "")
    if rule.joins and node.is_integer:
        node.inputs = [None if x is None else emitter.requantized(x, node.output.quant) for x in node.inputs]
    if not (rule.same_quant and node.is_integer) or rule.joins:
        rule.lower(emitter, node)
        return
    # The kernel copies integers: run it in the input's scale and change the scale behind it where a foreign graph asks.
    source = node.input(0)
    wanted = node.outputs
    node.outputs = [
        out if source.quant is None or source.quant.same_as(out.quant) else emitter.scratch(out, quant=source.quant)
        for out in wanted
    ]
    rule.lower(emitter, node)
    for made, out in zip(node.outputs, wanted, strict=True):
        if made is not out:
            emitter.write("QUANTIZE", [emitter.input(made)], out, emitter.layout(made))


def _io_layout(tensor: Tensor) -> Perm:
    rank = len(tensor.shape)
    return channels_last(rank) if rank == 4 else identity(rank)


def _write_input(emitter: Emitter, tensor: Tensor, io: str) -> tuple[int, TensorInfo]:
    """An input, channels-last where it is an image; uint8 goes through one QUANTIZE."""
    perm = _io_layout(tensor)
    if io == "uint8" and tensor.quant is not None:
        outer = _as_uint8(tensor)
        emitter.at(tensor.name)
        index = emitter.output(outer, perm)
        emitter.write("QUANTIZE", [index], tensor, perm)
        return index, _describe(outer, perm)
    return emitter.output(tensor, perm), _describe(tensor, perm)


def _write_output(emitter: Emitter, tensor: Tensor, io: str, taken: set[int]) -> tuple[int, TensorInfo]:
    """An output: feature maps channels-last, as inputs are, everything else in ONNX order.

    The app asks for it by name, so the name goes to the tensor that leaves the file, not to one that it was made from;
    a tensor that has a name of its own already (`taken`: an input, another output) is copied.
    """
    perm = _io_layout(tensor)
    emitter.at(tensor.name)
    index = emitter.input(tensor, perm)
    if io == "uint8" and tensor.quant is not None:
        outer = _as_uint8(tensor)
        emitter.write("QUANTIZE", [index], outer, perm)
        index, tensor = emitter.input(outer), outer
    if index in taken:
        index = emitter.copy(tensor, index, perm)
    emitter.writer.claim_name(index, tensor.name)
    return index, _describe(tensor, perm)


def _as_uint8(tensor: Tensor) -> Tensor:
    assert tensor.quant is not None
    return Tensor(tensor.name, tensor.shape, "uint8", Quant(tensor.quant.scale, tensor.quant.zero_point + 128))


def _describe(tensor: Tensor, perm: Perm) -> TensorInfo:
    layout: Layout = "other"
    if len(perm) == 4:
        layout = "NHWC" if perm == channels_last(4) else "NCHW"
    elif len(perm) == 2:
        layout = "NC"
    quant = tensor.quant
    return TensorInfo(
        name=tensor.name,
        shape=stored_shape(tensor.shape, perm),
        dtype=np.dtype(tensor.dtype).name,
        layout=layout,
        scale=None if quant is None else float(quant.scale[0]),
        zero_point=None if quant is None else int(quant.zero_point[0]),
    )
