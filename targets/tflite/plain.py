"""A .tflite file that edgekit did not write: what it is fed, and whether the runtimes here can run it at all."""

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from edgekit.errors import EdgekitError
from edgekit.target import TensorInfo
from edgekit.targets.tflite.flatbuffer import TENSOR_TYPES

WHERE = "the .tflite file"
IDENTIFIER = b"TFL3"
BUILT_IN = frozenset(("TFLite_Detection_PostProcess", "AudioSpectrogram", "Mfcc"))
"""Custom operators that every build of the runtime brings."""

_DTYPES = {number: name for name, number in TENSOR_TYPES.items()}


def plain_input(data: bytes) -> TensorInfo:
    """The file's one input.

    Raises:
        EdgekitError: EK202 for what is no such file, EK203 for several inputs or one whose size is open, EK703 for
            custom operators.
    """
    if data[4:8] != IDENTIFIER:
        raise _broken("it has no TFL3 at its start")
    try:
        model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
        graph = model.subgraphs[0]
        custom = sorted({_text(code.customCode) for code in model.operatorCodes if code.customCode is not None})
        inputs = [graph.tensors[int(index)] for index in graph.inputs]
        described = [(_text(tensor.name), _shape(tensor), _DTYPES.get(tensor.type, "")) for tensor in inputs]
    except Exception as error:  # whatever the flatbuffer's own reader trips over
        raise _broken(f"{type(error).__name__}: {error}") from error
    if missing := [name for name in custom if name not in BUILT_IN]:
        raise EdgekitError(
            "EK703",
            what=f"TensorFlow Lite has no operator {', '.join(missing)}: the program that made the file brings its own",
            where=WHERE,
            fix="convert the model without custom operators",
        )
    if len(described) != 1:
        raise EdgekitError("EK203", what=f"{len(described)} inputs, one is fed", where=WHERE, fix="give it one input")
    name, shape, dtype = described[0]
    if not dtype or not all(length > 0 for length in shape):
        raise EdgekitError(
            "EK203",
            what=f"the input is {dtype or 'of an unknown dtype'} {'x'.join(map(str, shape))}: its size is open",
            where=WHERE,
            fix="convert the model with a fixed input shape",
        )
    return TensorInfo(name, shape, dtype, "other")


def _shape(tensor: Any) -> tuple[int, ...]:
    """A dimension that may change is 1 in the shape and -1 in the signature; the runtime takes the shape."""
    return tuple(map(int, tensor.shape if tensor.shape is not None else ()))


def _text(name: Any) -> str:
    return bytes(name or b"").decode("utf-8", "replace")


def _broken(reason: str) -> EdgekitError:
    return EdgekitError(
        "EK202", what=f"no TensorFlow Lite file: {reason}", where=WHERE, fix="convert the model again, or copy it again"
    )
