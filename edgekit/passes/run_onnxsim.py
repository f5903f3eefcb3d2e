"""Let onnxsim evaluate shape arithmetic that our own passes could not."""

import onnx
import onnx_ir as ir

from edgekit.errors import EdgekitError
from edgekit.graph.module_path import MODULE_KEY, path_of

# A graph that computes shapes holds at least one of these; without them onnxsim adds nothing to our passes.
SHAPE_ARITHMETIC = frozenset(
    {
        *("Shape", "Size", "ConstantOfShape", "Range", "Expand", "Tile", "Squeeze", "Unsqueeze", "Cast", "CastLike"),
        *("Where", "Equal", "Not", "And", "Or", "Less", "Greater", "NonZero", "Mod", "CumSum", "OneHot"),
        *("ScatterND", "ScatterElements", "If", "Loop"),
    }
)


def run_onnxsim(model: ir.Model) -> bool:
    """Simplify in place with onnxsim: constant folding and shape inference to a fixed point, its graph optimizer.

    Importing onnxsim costs 0.4 CPU seconds with torch loaded and loads torch where it is not, so graphs without shape
    arithmetic are left alone.

    Raises:
        EdgekitError: EK204 with onnxsim's reason: a simplifier that fails is never passed over.
    """
    if not any(node.op_type in SHAPE_ARITHMETIC for node in model.graph):
        return False
    import onnxsim

    try:
        simplified, _ = onnxsim.simplify(ir.to_proto(model))
    except (RuntimeError, ValueError, TypeError, AssertionError, onnx.checker.ValidationError) as refused:
        reason = (str(refused).splitlines() or [type(refused).__name__])[0]
        raise EdgekitError(
            "EK204",
            what=f"onnxsim failed: {reason}",
            where=model.graph.name or "graph",
            fix="check the file with onnx.checker.check_model, or export it again at opset 18 or newer",
        ) from refused
    before, modules = _structure(model), _modules(model)
    model.graph = ir.from_proto(simplified).graph
    for node in model.graph:
        node.metadata_props[MODULE_KEY] = modules.get(node.outputs[0].name, modules.get(node.name, ""))
    return _structure(model) != before


def _structure(model: ir.Model) -> list[tuple[str, list[str | None]]]:
    """Operators and the names that they read and write: what onnxsim may have changed."""
    names = [(node.op_type, (*node.inputs, *node.outputs)) for node in model.graph]
    return [(op_type, [value.name if value is not None else None for value in values]) for op_type, values in names]


def _modules(model: ir.Model) -> dict[str | None, str]:
    """Module paths by the names of nodes and of their outputs: onnxsim drops metadata."""
    paths = {node.name: path_of(node) for node in model.graph}
    return paths | {value.name: paths[node.name] for node in model.graph for value in node.outputs}
