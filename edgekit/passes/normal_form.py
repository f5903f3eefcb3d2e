"""Before the first pass and after the last: opset, names, shapes, dead nodes."""

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from edgekit.errors import EdgekitError, Table
from edgekit.graph.module_path import path_of
from edgekit.graph.opset import convert_opset
from edgekit.graph.shapes import infer_shapes
from edgekit.passes.rewrite import shape_of

OPSET = 21
# Between 18 and 21 these changed meaning, not only their types; everything else may keep its node.
CHANGED_SINCE_18 = frozenset({"GridSample", "DFT", "GroupNormalization"})
QUANTIZED = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger"}
)
RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)


def open_graph(model: ir.Model) -> ir.Model:
    """A copy of `model` at opset 21, functions inlined, constants lifted, shapes inferred.

    Raises:
        EdgekitError: EK203 for a dynamic input shape, EK204 for a quantized graph, for one that draws random numbers,
            or for an opset that cannot be converted.
    """
    _require_float(model)
    _require_static(model)
    result = _to_opset(model.clone())
    common.InlinePass()(result)
    common.RemoveInitializersFromInputsPass()(result)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(result)
    common.RemoveUnusedNodesPass()(result)
    _require_repeatable(result)
    infer_shapes(result)
    return result


def finish(model: ir.Model) -> None:
    """Drop what nothing reads, give every value a shape and every node a name of its own.

    Raises:
        EdgekitError: EK204 with a table of the values whose shape or type could not be inferred.
    """
    common.RemoveUnusedNodesPass()(model)
    common.RemoveUnusedOpsetsPass()(model)
    common.NameFixPass()(model)
    if any(shape_of(value) is None or value.dtype is None for node in model.graph for value in node.outputs):
        infer_shapes(model)
    rows = [
        (node.name or "", node.op_type, path_of(node))
        for node in model.graph
        if any(value.name and (shape_of(value) is None or value.dtype is None) for value in node.outputs)
    ]
    if rows:
        raise EdgekitError(
            "EK204",
            what=f"{len(rows)} nodes have outputs whose shape depends on the data",
            where=rows[0][0],
            fix="export the model at a fixed input size, without operators whose output size depends on values",
            table=Table(("node", "op", "module"), tuple(rows)),
        )


def _require_repeatable(model: ir.Model) -> None:
    """No file can be compared with a model that answers differently each time."""
    drawing = [node for node in model.graph if node.op_type in RANDOM or _drops(node)]
    if drawing:
        raise EdgekitError(
            "EK204",
            what=f"the model draws random numbers ({', '.join(sorted({node.op_type for node in drawing}))})",
            where=drawing[0].name or drawing[0].op_type,
            fix="call torch.rand, randn, bernoulli, dropout and the like in training only: if self.training: ...",
        )


def _drops(node: ir.Node) -> bool:
    """Whether it is a Dropout that is left on, as for an estimate of uncertainty (F.dropout(x, training=True))."""
    mode = node.inputs[2] if node.op_type == "Dropout" and len(node.inputs) > 2 else None
    constant = None if mode is None else ir.convenience.get_const_tensor(mode)
    return constant is not None and bool(constant.numpy().any())


def _require_float(model: ir.Model) -> None:
    quantized = [node for node in model.graph if node.op_type in QUANTIZED]
    if quantized:
        raise EdgekitError(
            "EK204",
            what=f"the graph is already quantized: {len(quantized)} nodes such as {quantized[0].op_type}",
            where=quantized[0].name or quantized[0].op_type,
            fix="give the float model, or lower the quantized one to a target as it is",
        )


def _require_static(model: ir.Model) -> None:
    initializers = model.graph.initializers
    for value in model.graph.inputs:
        if value.name not in initializers and shape_of(value) is None:
            raise EdgekitError(
                "EK203",
                what=f"input {value.name!r} has the dynamic shape {value.shape}",
                where=str(value.name),
                fix="fix the size with --input-size HxW",
            )


def _to_opset(model: ir.Model) -> ir.Model:
    """Bring the default operator set to OPSET; between 18 and OPSET most nodes mean the same and are left alone."""
    version = model.opset_imports.get("", OPSET)
    if version == OPSET:
        return model
    if 18 <= version < OPSET and not any(node.op_type in CHANGED_SINCE_18 for node in model.graph.all_nodes()):
        model.opset_imports[""] = OPSET
        return model
    try:
        return convert_opset(model, OPSET)
    except (RuntimeError, onnx.checker.ValidationError, onnx.version_converter.ConvertError) as refused:
        raise EdgekitError(
            "EK204",
            what=f"the graph cannot be converted from opset {version} to {OPSET}: {' '.join(str(refused).split())}",
            where="opset_import",
            fix="export the model at opset 18 to 21",
        ) from refused
