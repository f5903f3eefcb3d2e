"""A model from an .onnx file: float of any opset, or already quantized with QuantizeLinear/DequantizeLinear."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes import common

from edgekit.errors import EdgekitError
from edgekit.graph.opset import convert_opset
from edgekit.graph.precision import to_float32
from edgekit.graph.session import REFUSALS, open_graph, reason_of
from edgekit.graph.shapes import believe_shapes, forget_shapes, infer_shapes
from edgekit.progress import Step
from edgekit.recipe import Recipe
from edgekit.source import Source, bundle_name
from edgekit.source.choices import Shape, chosen_size, is_said, preprocess_for, refuse_weight_options
from edgekit.source.guarded import ending
from edgekit.source.onnx_input import make_input_static
from edgekit.source.outputs import OutputSpec, describe_outputs

OPSET = 21
IR_VERSION = 4
"""The first in which a constant need not be an input too; a graph that says 3 would be taken for incomplete."""

QDQ = frozenset(("QuantizeLinear", "DequantizeLinear"))
INTEGER_OPERATORS = frozenset(("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"))
# What a graph that does not fit its input ends in, on loading or on running.
RUN_REFUSALS: tuple[type[Exception], ...] = (EdgekitError, *REFUSALS)


def resolve(recipe: Recipe, progress: Step | None = None) -> Source:
    """Read the file, fix its input to one static float32 image, and run it once on zeros."""
    path = Path(recipe.model)
    refuse_weight_options(recipe, "an ONNX file")
    sha256, proto = read(path)
    graph = as_graph(proto, path)
    shape = make_input_static(graph, chosen_size(recipe), str(path))
    preprocess = preprocess_for(recipe, shape, str(path))
    declared = forget_shapes(graph)
    quantized = is_quantized(graph, str(path))
    if quantized:
        graph = _at_opset(graph, str(path))
    check_survives(graph, shape, path)
    infer_shapes(graph, data_prop=True)
    if believe_shapes(graph, declared):
        infer_shapes(graph, data_prop=True)
    outputs = run_on_zeros(graph, shape, path)
    return Source(
        bundle_name(path.stem),
        None,
        graph,
        shape,
        preprocess,
        path.name,
        sha256,
        outputs,
        quantized=quantized,
        assumed=not is_said(recipe),
    )


def as_graph(proto: onnx.ModelProto, path: Path) -> ir.Model:
    """The file's graph in float32: functions inlined, constants as initializers, every output once.

    Errors:
        EK202 the file passes ONNX's checker and is no graph all the same.
    """
    try:
        graph = ir.from_proto(proto)
        common.InlinePass()(graph)
        common.RemoveInitializersFromInputsPass()(graph)
        graph.ir_version = max(graph.ir_version, IR_VERSION)
        graph.graph.outputs[:] = dict.fromkeys(graph.graph.outputs)  # one listed twice has one name all the same
        check_nodes(graph)
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(graph)
        to_float32(graph)
        graph.clone()  # what cannot be copied cannot be written either
    except (EdgekitError, MemoryError):
        raise
    except Exception as error:  # onnx_ir has no class for it: a malformed graph ends in whatever it runs into
        raise _invalid(error, path) from error
    return graph


def check_nodes(graph: ir.Model) -> None:
    """ValueError for a name that is no text, a value that nothing makes, an attribute of a function outside of one."""
    for node in graph.graph.all_nodes():
        names = (node.name, node.op_type, *(value.name for value in (*node.inputs, *node.outputs) if value is not None))
        if any(isinstance(name, bytes) for name in names):  # what protobuf makes of other bytes than UTF-8
            raise ValueError(f"a name of node {node.name!r} ({node.op_type!r}) is not text")
        for value in node.inputs:
            if value is not None and not (value.producer() or value.is_graph_input() or value.is_initializer()):
                raise ValueError(f"node {node.name} ({node.op_type}) reads {value.name}, which nothing makes")
        loose = next((name for name, attribute in node.attributes.items() if attribute.is_ref()), None)
        if loose is not None:
            raise ValueError(f"attribute {loose} of node {node.name} ({node.op_type}) takes its value from a function")


def _invalid(error: Exception, path: Path) -> EdgekitError:
    while isinstance(error.__cause__, Exception):
        error = error.__cause__  # those above it name the graph and the pass, at length
    return EdgekitError(
        "EK202",
        what=f"not a valid ONNX file: {_one_line(error)}",
        where=str(path),
        fix="the file is truncated or of another kind; copy or export it again",
    )


def _one_line(error: Exception) -> str:
    """The whole reason: the node that it is about is often named behind the first line."""
    return " ".join(str(error).split()).removesuffix(" ==> Context:") or type(error).__name__


def read(path: Path) -> tuple[str, onnx.ModelProto]:
    """The SHA-256 of an .onnx file and its checked content.

    Errors:
        EK102 the file, or the external data that it names, is missing; EK202 it is truncated or invalid.
    """
    try:
        data = path.read_bytes()
        proto = onnx.load_model_from_string(data)
        _load_external_data(proto, path)
        onnx.checker.check_model(proto)
    except OSError as error:
        raise EdgekitError(
            "EK102",
            what=f"cannot read the ONNX file: {error.strerror or error}",
            where=str(error.filename or path),
            fix="check the path",
        ) from error
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise _invalid(error, path) from error
    return hashlib.sha256(data).hexdigest(), proto


def _load_external_data(proto: onnx.ModelProto, path: Path) -> None:
    """Read the tensors that the file keeps in others.

    For a missing one onnx raises a ValidationError and no OSError, for a name that no file can have a RuntimeError.
    """
    try:
        onnx.load_external_data_for_model(proto, str(path.parent))
        for tensor in function_tensors(proto):
            if onnx.external_data_helper.uses_external_data(tensor):
                onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
                tensor.data_location = onnx.TensorProto.DEFAULT
                del tensor.external_data[:]
    except (OSError, ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        raise EdgekitError(
            "EK102",
            what=f"the tensors outside the ONNX file cannot be read: {_one_line(error)}",
            where=str(path),
            fix="copy the files with external data beside the .onnx file",
        ) from error


def function_tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Tensors in a file's functions and in the branches within them, which onnx's own loader does not visit."""
    pending = [node for function in proto.functions for node in function.node]
    while pending:
        for attribute in pending.pop().attribute:
            yield from (attribute.t, *attribute.tensors)
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.initializer
                pending.extend(graph.node)


def is_quantized(graph: ir.Model, where: str) -> bool:
    """Whether the graph holds QDQ pairs. EK204 for the other form, which computes with integer operators."""
    operators = {node.op_type for node in graph.graph.all_nodes()}
    if found := sorted(operators & INTEGER_OPERATORS):
        raise EdgekitError(
            "EK204",
            what=f"the graph is quantized with integer operators ({', '.join(found)})",
            where=where,
            fix="give the float model, or quantize it in QDQ form (onnxruntime: quant_format=QuantFormat.QDQ)",
        )
    return bool(operators & QDQ)


def check_survives(graph: ir.Model, shape: Shape, path: Path) -> None:
    """EK203 where ONNX's shape inference or ONNX Runtime end the process on this graph, or never come back."""

    def work() -> None:
        infer_shapes(graph, data_prop=True)
        run_on_zeros(graph, shape, path)

    ended = ending(work)
    if ended:
        raise EdgekitError(
            "EK203",
            what=f"ONNX's shape inference or ONNX Runtime crash on the graph ({ended})",
            where=str(path),
            fix="check the axes, steps and shapes of its nodes (onnx.checker.check_model), or export it again",
        )


def run_on_zeros(graph: ir.Model, shape: Shape, path: Path) -> tuple[OutputSpec, ...]:
    """Run the graph once; returns what it gives.

    Errors:
        EK203 the graph cannot take this size, or uses operators that ONNX Runtime does not have.
    """
    try:
        session = open_graph(graph, str(path))
        outputs = session.run(None, {session.get_inputs()[0].name: np.zeros(shape, np.float32)})
    except RUN_REFUSALS as error:
        reason = error.what if isinstance(error, EdgekitError) else reason_of(error)
        raise EdgekitError(
            "EK203",
            what=f"the graph does not run on an input of {'x'.join(map(str, shape))}: {reason}",
            where=str(path),
            fix="choose the size that the model was made for: --input-size HxW",
        ) from error
    names = [output.name for output in session.get_outputs()]
    return describe_outputs({name: output.shape for name, output in zip(names, outputs, strict=True)})


def _at_opset(graph: ir.Model, where: str) -> ir.Model:
    """A quantized graph at OPSET; float graphs are brought there with the other rewrites of simplify()."""
    version = graph.opset_imports.get("", OPSET)
    if version == OPSET:
        return graph
    try:
        return convert_opset(graph, OPSET)
    except (RuntimeError, onnx.checker.ValidationError, onnx.version_converter.ConvertError) as error:
        raise EdgekitError(
            "EK204",
            what=f"the graph cannot be converted from opset {version} to {OPSET}: {_one_line(error)}",
            where=where,
            fix="export and quantize it again at opset 18 or newer",
        ) from error
