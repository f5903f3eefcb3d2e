"""Running an emitted file: stored inputs in, outputs in ONNX axis order out."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from ai_edge_litert.interpreter import OpResolverType
from numpy.typing import NDArray

from edgekit.graph.stored import to_stored
from edgekit.target import EmitOptions, Emitted, TensorInfo, targets
from edgekit.targets.tflite.emit import emit
from edgekit.targets.tflite.run import load_interpreter
from tflite_conformance.case import Case
from tflite_conformance.net import Feeds, Net
from tflite_conformance.quantized import to_qdq
from tflite_conformance.reference import run_onnx

TARGETS = {"float32": "tflite-fp32", "int8": "tflite-int8", "int16": "tflite-int16x8"}


def graph_of(case: Case, dtype: str) -> tuple[onnx.ModelProto, Feeds]:
    """The case's graph in that dtype, and what to feed it."""
    net = Net()
    outputs = case.build(net)
    model = net.model(*([outputs] if isinstance(outputs, str) else outputs))
    if dtype != "float32":
        model = to_qdq(model, net.feeds, dtype, case.rescale)
    return model, net.feeds


def emit_proto(model: onnx.ModelProto, target: str, io: Any = None) -> Emitted:
    return emit(ir.from_proto(model), targets.get(target), EmitOptions(io))


def stored_inputs(emitted: Emitted, feeds: Feeds) -> list[NDArray[Any]]:
    """The feeds as the file takes them: layout and quantization applied."""
    return [to_stored(value, info) for value, info in zip(feeds.values(), emitted.inputs, strict=True)]


def run_emitted(emitted: Emitted, inputs: list[NDArray[Any]], delegate: bool = True) -> list[NDArray[Any]]:
    """The outputs as the file stores them, with XNNPACK or with the builtin kernels alone."""
    resolver = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = load_interpreter(emitted.data, experimental_op_resolver_type=resolver)
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def distances(
    emitted: Emitted, outputs: list[NDArray[Any]], model: onnx.ModelProto, feeds: Feeds
) -> list[tuple[str, float]]:
    """Per output: the largest difference to ONNX Runtime, in steps on integers, else relative to the largest value."""
    wanted = run_onnx(model, feeds)
    found: list[tuple[str, float]] = []
    for info, stored, name in zip(emitted.outputs, outputs, wanted, strict=True):
        ours = stored.transpose(0, 3, 1, 2) if info.layout == "NHWC" else stored
        assert ours.shape == wanted[name].shape, f"{name}: shape {ours.shape}, not {wanted[name].shape}"
        found.append((name, _distance(ours, wanted[name], info)))
    return found


def _distance(ours: NDArray[Any], wanted: NDArray[Any], info: TensorInfo) -> float:
    if info.scale is None:
        assert ours.dtype == wanted.dtype
        error = np.abs(ours.astype(np.float64) - wanted)
        return float(error.max() / max(np.abs(wanted).max(), 1e-6)) if error.size else 0.0
    steps = np.rint(wanted / np.float64(info.scale)) + (info.zero_point or 0)
    return float(np.abs(ours.astype(np.int64) - steps).max())


def written_by(model: onnx.ModelProto, emitted: Emitted) -> dict[str, set[str]]:
    """ONNX operator -> the builtins that its nodes became; what was written as other operators first is left out."""
    op_of = {node.name: node.op_type for node in model.graph.node}
    found: dict[str, set[str]] = {}
    for node in emitted.nodes:
        if node.module not in op_of and node.module.rpartition(".")[0] in op_of:
            continue
        found.setdefault(op_of.get(node.module, "input or output"), set()).add(node.operator)
    return found
