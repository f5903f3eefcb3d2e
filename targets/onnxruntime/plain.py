"""An .onnx file that edgekit did not write: what it is fed, and whether ONNX Runtime can run it on another CPU."""

import onnx

from edgekit.errors import EdgekitError
from edgekit.target import TensorInfo

WHERE = "the .onnx file"
KNOWN = frozenset(("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.experimental"))
X86 = "com.microsoft.nchwc"
"""Operators in the blocks of channels that suit the vectors of x86; other CPUs have no kernels for them."""


def plain_input(data: bytes) -> TensorInfo:
    """The file's one input.

    Raises:
        EdgekitError: EK202 for what is no such file, EK203 for several inputs or one whose size is open, EK204 for
            weights in other files, EK703 for operators that a runtime elsewhere does not have.
    """
    try:
        graph = onnx.load_model_from_string(data).graph
        constants = {tensor.name for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in constants]
    except Exception as error:  # whatever protobuf trips over
        raise EdgekitError(
            "EK202", what=f"no ONNX file: {error}", where=WHERE, fix="export the model again, or copy it again"
        ) from error
    _check_operators(graph)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer):
        raise EdgekitError(
            "EK204", what="its weights lie in other files", where=WHERE, fix="save the model as one file"
        )
    if len(inputs) != 1 or not inputs[0].type.HasField("tensor_type"):
        raise EdgekitError("EK203", what=f"{len(inputs)} inputs, one is fed", where=WHERE, fix="give it one input")
    tensor = inputs[0].type.tensor_type
    shape = tuple(int(dim.dim_value) for dim in tensor.shape.dim)
    if not all(length > 0 for length in shape):
        raise EdgekitError(
            "EK203",
            what="a dimension of the input is open",
            where=WHERE,
            fix="export the model with a fixed input shape",
        )
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return TensorInfo(inputs[0].name, shape, dtype, "other")


def _check_operators(graph: onnx.GraphProto) -> None:
    foreign = sorted({f"{node.domain}:{node.op_type}" for node in graph.node if node.domain not in KNOWN})
    if not foreign:
        return
    if any(name.startswith(X86) for name in foreign):
        raise EdgekitError(
            "EK703",
            what="ONNX Runtime laid the graph out for an x86 CPU: other CPUs have no kernels for it",
            where=WHERE,
            fix="measure the file that it was made from, or save it with the optimization level ORT_ENABLE_EXTENDED",
        )
    raise EdgekitError(
        "EK703",
        what=f"ONNX Runtime has no operator {', '.join(foreign)}: the program that made the file brings its own",
        where=WHERE,
        fix="export the model without custom operators",
    )
