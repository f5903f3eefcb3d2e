"""Why ONNX Runtime gives something else than the module that a graph was traced from. Asked only when it does."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from edgekit.graph.session import WRONG_OPTIMIZERS
from edgekit.target import FloatArray

MOST_NODES = 2000
"""Of a graph that ONNX's own evaluator is asked about: it is written in Python."""

OPTIMIZATIONS = (
    *("Level1_RuleBasedTransformer", "Level2_RuleBasedTransformer", "ConstantFolding", "ConstantSharing"),
    *("CommonSubexpressionElimination", "MatMulAddFusion", "ReshapeFusion", "TransposeOptimizer", "NchwcTransformer"),
    *("ConvActivationFusion", "ConvAddActivationFusion", "GemmActivationFusion", "MatmulTransposeFusion"),
    *("GeluFusionL1", "GeluFusion", "LayerNormFusionL1", "LayerNormFusion", "MatMulScaleFusion", "MatmulBNFusion"),
)
RULES = (
    *("Pad_Fusion", "ConvAddFusion", "ConvMulFusion", "ConvBNFusion", "DivMulFusion", "FuseReluClip"),
    *("GemmSumFusion", "GemmTransposeFusion", "NotWhereFusion", "EliminateSlice", "UnsqueezeElimination"),
)
"""What one of the first two is made of; a rule can be left out by its own name."""

Same = Callable[[Sequence[FloatArray]], bool]


def explain(model: ir.Model, image: FloatArray, same: Same, *, without: Sequence[str] = WRONG_OPTIMIZERS) -> str:
    """Who computes something else, in a sentence; empty where the graph itself does: then the trace is wrong.

    Args:
        image: f32[1, C, H, W].
        same: whether the outputs for it, in the graph's order, are those of the module.
        without: optimizations that are left out already.
    """
    data = ir.to_proto(model).SerializeToString()
    if same(_run(data, image, ort.GraphOptimizationLevel.ORT_DISABLE_ALL, without)):
        guilty = [name for name in (*RULES, *OPTIMIZATIONS) if same(_run(data, image, None, (*without, name)))]
        named = f"optimization {guilty[0]} changes" if guilty else "optimizations change"
        return f"ONNX Runtime's {named} the result: the graph is right, and without it the runtime is too"
    return _blame_node(model, image, same) if len(model.graph) <= MOST_NODES else ""


def _run(
    data: bytes, image: FloatArray, level: ort.GraphOptimizationLevel | None, without: Sequence[str]
) -> list[FloatArray]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if level is not None:
        options.graph_optimization_level = level
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(without))
    found: list[FloatArray] = session.run(None, {session.get_inputs()[0].name: image})
    return found


def _blame_node(model: ir.Model, image: FloatArray, same: Same) -> str:
    """The first node that the runtime computes otherwise than ONNX's evaluator, where that one is right."""
    from onnx.reference import ReferenceEvaluator

    names = [str(value.name) for value in model.graph.outputs]
    feed = {str(model.graph.inputs[0].name): image}
    try:
        defined: Any = ReferenceEvaluator(ir.to_proto(model)).run(None, feed, intermediate=True)
    except Exception:  # noqa: BLE001 - it is made of a function per operator, and not of every one
        return ""
    if not same([defined[name] for name in names]):
        return ""
    probe = model.clone()
    results = [value for node in probe.graph for value in node.outputs if value.name]
    probe.graph.outputs[:] = results
    level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    computed = _run(ir.to_proto(probe).SerializeToString(), image, level, ())
    for value, found in zip(results, computed, strict=True):
        expected, node = np.asarray(defined[str(value.name)]), value.producer()
        spread = float(np.ptp(expected)) if expected.size and expected.dtype.kind == "f" else 0.0
        if node is not None and not np.allclose(found, expected, rtol=1e-4, atol=1e-4 * spread, equal_nan=True):
            return f"ONNX Runtime computes {node.name} ({node.op_type}) otherwise than ONNX defines it"
    return ""
