"""Opening an ONNX Runtime session: the same options and the same words of refusal for every graph and file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.serde import SerdeError
from onnxruntime.capi import onnxruntime_pybind11_state as status

from edgekit.errors import EdgekitError
from edgekit.graph.external_data import put_aside

# What the runtime raises on a graph or a file that it cannot load or run; they share no base class but Exception.
REFUSALS: tuple[type[Exception], ...] = (
    status.Fail,
    status.InvalidArgument,
    status.InvalidGraph,
    status.InvalidProtobuf,
    status.NoSuchFile,
    status.NotImplemented,
    status.RuntimeException,
    SerdeError,  # on its way into a session
    UnicodeDecodeError,  # in place of the runtime's reason, which had a name that is no text
)


# Optimizations of ONNX Runtime that change results, which no graph of the pipeline is run with: what is compared with
# them would be refused for an error that is not its own. Pad_Fusion takes zeros before a MaxPool for minus infinity.
WRONG_OPTIMIZERS = ("Pad_Fusion",)

# Without a second attempt on the same provider, which prints the first one's reason.
CHOSEN: Mapping[str, Any] = {"providers": ["CPUExecutionProvider"], "enable_fallback": 0}

# Operators, Q/DQ pairs not counted, from which on a graph is opened with ONNX Runtime's basic optimizations alone. The
# others look at the whole graph for every node that they change: of the 2.0 CPU seconds that a chain of 1,600
# convolutions takes to open when it is quantized they are 1.1, and what they save is 5 ms an image.
DEEP = 2000

# CPU features, in /proc/cpuinfo's words, with which products of bytes are added in 32 bits.
VNNI = ("avx512_vnni", "avx_vnni")


def exact_int8() -> dict[str, str]:
    """What `open_session` needs on this CPU for int8 to be exact.

    On an x86-64 CPU without VNNI, ONNX Runtime adds pairs of uint8 x int8 products in 16 bits, where they saturate: 7
    dB are left of MobileNetV2's 19. The kernels that this asks for are exact everywhere, and 1.5 to 2.4 times slower
    where the usual ones are exact too. ARM has no others. (targets/onnxruntime/session.py, which
    imports nothing, does the same.)
    """
    try:
        features = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        features = []
    return {} if any(feature in features for feature in VNNI) else {"session_x64quantprecision": "1"}


def open_session(model: bytes | Path, where: str, *, threads: int = 1, **config: str) -> ort.InferenceSession:
    """A session on the CPU.

    Args:
        where: what the model is, in the user's words, for the error.
        **config: ONNX Runtime's session configuration; dots are written as underscores ("session_disable_quant_qdq").

    Raises:
        EdgekitError: EK703 with the runtime's reason.
    """
    source = str(model) if isinstance(model, Path) else model
    try:
        return ort.InferenceSession(source, _options(threads, config), **CHOSEN)
    except REFUSALS as error:
        raise refused(error, where) from error


def open_graph(
    model: ir.Model, where: str, *, threads: int = 1, plan_memory: bool = True, **config: str
) -> ort.InferenceSession:
    """The same for a graph in memory, of any size: its weights are handed over as they lie, and not serialized.

    Args:
        plan_memory: whether ONNX Runtime sets a block aside for all intermediate values after the first run. Where most
            of them are outputs, it holds both: 1 GB more and a fifth slower for EfficientNet-B5's feature maps.
    """
    options = _options(threads, config)
    options.enable_mem_pattern = plan_memory
    if is_deep(model):
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        return _GraphSession(model, options)
    except REFUSALS as error:
        raise refused(error, where) from error


def is_deep(model: ir.Model) -> bool:
    """Whether optimizing the graph costs more than running it a few times faster saves."""
    if len(model.graph) < DEEP:
        return False
    return sum(node.op_type not in ("QuantizeLinear", "DequantizeLinear") for node in model.graph) >= DEEP


class _GraphSession(ort.InferenceSession):  # type: ignore[misc]  # onnxruntime is untyped
    """A session that keeps its weights alive: ONNX Runtime reads them where they lie."""

    def __init__(self, model: ir.Model, options: ort.SessionOptions) -> None:
        with put_aside(model, "weights") as beside:
            arrays = [np.ascontiguousarray(array) for array in beside.tensors.values()]
            self._weights = [ort.OrtValue.ortvalue_from_numpy(array) for array in arrays]
            options.add_external_initializers(list(beside.tensors), self._weights)
            graph = ir.to_proto(beside.model).SerializeToString()
        super().__init__(graph, options, **CHOSEN, disabled_optimizers=list(WRONG_OPTIMIZERS))


def _options(threads: int, config: Mapping[str, str]) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # it prints what it raises
    for key, value in config.items():
        options.add_session_config_entry(key.replace("_", ".", 1), value)
    return options


def refused(error: Exception, where: str) -> EdgekitError:
    """EK703 in one line."""
    return EdgekitError(
        "EK703",
        what=f"ONNX Runtime refused it: {reason_of(error)}",
        where=where,
        fix="run the model in ONNX Runtime alone; if that works, report this with the model and: edgekit doctor",
    )


def reason_of(error: Exception) -> str:
    """What ONNX Runtime says, in one line: the node and its reason, without codes and places in its own source."""
    said = " ".join(str(error).split())
    said = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", said)
    said = re.sub(
        r"Non-zero status code returned while running (\S+) node\. Name:'(.*?)' Status Message: ", r"\2 (\1): ", said
    )
    return re.sub(r"/\S*onnxruntime\S*:\d+ (?:[^()]*\([^()]*\)(?: const)? )?", "", said)
