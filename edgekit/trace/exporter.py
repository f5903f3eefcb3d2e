"""ExportedProgram -> ONNX by PyTorch's exporter, which knows every ATen operator.

`optimize=False`: edgekit's own passes do the same and more, and the graph stays close to the modules.
"""

import logging
import re
import warnings
from ast import literal_eval
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import onnx_ir as ir
import torch
from torch.export import ExportedProgram

from edgekit.errors import EdgekitError
from edgekit.graph.module_path import MODULE_KEY
from edgekit.graph.precision import DOUBLE, HALF, to_float32
from edgekit.trace.capture import one_line
from edgekit.trace.outputs import name_outputs, own_path

# 20 is the newest opset that torch 2.6 to 2.13 write without their version converter; simplify() takes it to 21.
OPSET = 20
SCOPES = "pkg.torch.onnx.name_scopes"


def export_to_onnx(program: ExportedProgram, names: Sequence[str]) -> ir.Model:
    """Translate with `torch.onnx.export(dynamo=True)`; the nodes keep only their module's path.

    Args:
        names: of the outputs.

    Raises:
        EdgekitError: EK201 when an operator has no ONNX form.
    """
    try:
        with _quiet_exporter():
            exported = torch.onnx.export(
                program, (), dynamo=True, optimize=False, verbose=False, opset_version=OPSET, input_names=["input"]
            )
    except Exception as refused:  # translating an operator is code of many hands
        operator, module = _untranslated(program, refused)
        missing = "No ONNX function found" in str(_root(refused))
        raise EdgekitError(
            "EK201",
            what=f"torch.onnx could not translate {operator or 'the model'}: "
            + ("it has no ONNX form of it" if missing else one_line(_root(refused))),
            where=module or "forward of the model",
            fix="replace the operator by ones that ONNX has, or give edgekit an .onnx file",
        ) from refused
    if exported is None:
        raise TypeError("torch.onnx.export(dynamo=True) returned no program")
    model = exported.model
    name_outputs(model.graph, names)
    _drop_made_up_biases(model.graph)
    _crop_less(model.graph)
    _keep_module_paths(model)
    _refuse_half(model.graph)
    to_float32(model, DOUBLE)
    _own_initializers(model.graph)
    return model


def _refuse_half(graph: ir.Graph) -> None:
    """EK201 for a forward that computes in half precision, whatever its weights are: its rounding is no target's."""
    half = next((node for node in graph if any(value.dtype in HALF for value in node.outputs)), None)
    if half is not None:
        found = next(value.dtype for value in half.outputs if value.dtype in HALF)
        raise EdgekitError(
            "EK201",
            what=f"the forward pass computes in {found.name.lower()}: an export starts from float32",
            where=half.metadata_props.get(MODULE_KEY) or "forward of the model",
            fix="take .half(), .to(torch.float16) and autocast out of forward; the target's precision is chosen later",
        )


def _root(error: BaseException) -> BaseException:
    """What was raised first: those around it say only where, and to look at the stack trace."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _untranslated(program: ExportedProgram, refused: BaseException) -> tuple[str, str]:
    """Name of the operator that the exporter stopped at, and path of the module that calls it; each may be ''."""
    cause: BaseException | None = refused
    while cause is not None:
        if stopped_at := re.match(r"Error when translating node .*target=torch\.ops\.(\w+\.(\w+))", str(cause)):
            return stopped_at[1], _caller(program, stopped_at[2])
        cause = cause.__cause__
    return "", ""


def _caller(program: ExportedProgram, operator: str) -> str:
    """Path of the innermost module that calls `operator`, under whatever prefix it had before it was decomposed."""
    for node in program.graph.nodes:
        if operator in str(node.target):
            stack = node.meta.get("nn_module_stack") or {}
            return next((path for path, _ in reversed(stack.values())), "")
    return ""


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Drop two messages that are about the exporter, not about the user's model.

    One warning per torchvision operator when torchvision is not installed; one FutureWarning from copying a pytree
    inside torch itself.
    """
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            yield
    finally:
        registration.setLevel(level)


def _keep_module_paths(model: ir.Model) -> None:
    """Keep `edgekit.module` on nodes and nothing else: stack traces hold the paths of this machine."""
    model.metadata_props.clear()
    graphs: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for graph in graphs:
        graph.metadata_props.clear()
        graph.doc_string = None
        for node in graph:
            path = _module_path(node.metadata_props)
            node.metadata_props.clear()
            node.metadata_props[MODULE_KEY] = path
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


def _drop_made_up_biases(graph: ir.Graph) -> None:
    """Remove the zeros that the exporter makes for a convolution without bias: [1, channels] of them, in 3-D."""
    for node in graph:
        bias = node.inputs[2] if node.op_type in ("Conv", "ConvTranspose") and len(node.inputs) > 2 else None
        made = bias.producer() if bias is not None else None
        if made is not None and made.op_type == "Expand" and _is_zero(made.inputs[0]):
            node.resize_inputs(2)


def _is_zero(value: ir.Value | None) -> bool:
    """Whether a value is the constant 0, in whatever type."""
    made = value.producer() if value is not None else None
    if made is not None and made.op_type in ("Cast", "CastLike"):
        return _is_zero(made.inputs[0])
    constant = ir.convenience.get_const_tensor(value) if value is not None else None
    return constant is not None and constant.size == 1 and not constant.numpy().any()


def _crop_less(graph: ir.Graph) -> None:
    """Write rows that a transposed convolution adds at the end as rows that it does not crop there, which is the same.

    Only where ONNX Runtime refuses the first form: it takes no output_padding as large as the stride.
    """
    for node in graph:
        if node.op_type != "ConvTranspose" or "output_padding" not in node.attributes:
            continue
        added = list(node.attributes.get_ints("output_padding", ()))
        rank = len(added)
        strides = list(node.attributes.get_ints("strides", [1] * rank))
        pads = list(node.attributes.get_ints("pads", [0] * 2 * rank))
        for axis in range(rank):
            if strides[axis] <= added[axis] <= pads[rank + axis]:
                pads[rank + axis] -= added[axis]
                added[axis] = 0
        node.attributes["pads"] = ir.AttrInt64s("pads", pads)
        node.attributes["output_padding"] = ir.AttrInt64s("output_padding", added)


def _module_path(metadata: dict[str, str]) -> str:
    """The innermost module of a node: the scopes run from the root ('') to the ATen call, which is the last."""
    scopes = literal_eval(metadata.get(SCOPES, "[]"))
    return own_path(str(scopes[-2])) if len(scopes) > 1 else ""


def _own_initializers(graph: ir.Graph) -> None:
    """Hold weights as NumPy arrays, so that nothing after the trace needs torch, under their names in the module."""
    for name, value in list(graph.initializers.items()):
        if value.const_value is not None:
            value.const_value = ir.tensor(np.asarray(value.const_value.numpy(), order="C"), name=own_path(name))
        if own_path(name) != name:
            del graph.initializers[name]
            value.name = own_path(name)
            graph.register_initializer(value)
