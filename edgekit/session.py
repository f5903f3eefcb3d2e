"""Opening an ONNX Runtime session: the same options and the same words of refusal for every graph and file."""

from pathlib import Path

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as status

from edgekit.errors import EdgekitError

# What the runtime raises on a graph or a file that it cannot load or run; they share no base class but Exception.
REFUSALS: tuple[type[Exception], ...] = (
    status.Fail,
    status.InvalidArgument,
    status.InvalidGraph,
    status.InvalidProtobuf,
    status.NoSuchFile,
    status.NotImplemented,
    status.RuntimeException,
)


def open_session(model: bytes | Path, where: str, *, threads: int = 1, **config: str) -> ort.InferenceSession:
    """A session on the CPU.

    Args:
        where: what the model is, in the user's words, for the error.
        **config: ONNX Runtime's session configuration; dots are written as underscores ("session_disable_quant_qdq").

    Raises:
        EdgekitError: EK703 with the runtime's reason.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    for key, value in config.items():
        options.add_session_config_entry(key.replace("_", ".", 1), value)
    source = str(model) if isinstance(model, Path) else model
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except REFUSALS as error:
        raise refused(error, where) from error


def refused(error: Exception, where: str) -> EdgekitError:
    """EK703 in one line."""
    return EdgekitError(
        "EK703",
        what=f"ONNX Runtime refused it: {str(error).splitlines()[0]}",
        where=where,
        fix="run the model in ONNX Runtime alone; if that works, report this with the model and: edgekit doctor",
    )
