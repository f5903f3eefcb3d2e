"""The values of the templates' marks, from a bundle: one fact, spelled for Kotlin, Java and C++."""

import re
from collections.abc import Iterable

import numpy as np

from edgekit.android import literals
from edgekit.android.golden_files import tolerance
from edgekit.bundle.files import Bundle
from edgekit.bundle.layout import LABELS
from edgekit.errors import EdgekitError
from edgekit.images.preprocess import takes_raw_pixels
from edgekit.registry import Preprocess
from edgekit.target import TensorInfo

CPP_TYPES = {
    "float32": "kFloat32",
    "int8": "kInt8",
    "uint8": "kUint8",
    "int16": "kInt16",
    "int32": "kInt32",
    "int64": "kInt64",
    "bool": "kBool",
}
"""The dtypes that the generated code reads, as its C++ names them; Kotlin and Java write them in capitals."""
IMAGE_TYPES = ("float32", "int8", "uint8", "int16")
"""Those in which it writes an image."""


def contract_marks(bundle: Bundle, assets: str) -> dict[str, str]:
    """Values of Contract.kt, Contract.java and contract.h. `assets` is the folder of the file among the app's assets.

    Raises:
        EdgekitError: EK302 for a file that takes no image, or whose numbers the generated code cannot read.
    """
    check_supported(bundle)
    taken = bundle.input
    return {
        "ASSETS": assets,
        "MODEL_FILE": bundle.model_file.name,
        "LABELS": f"{assets}/{LABELS}" if bundle.labels else "",
        "MIN_RUNTIME": str(bundle.manifest["min_runtime"]),
        "INPUT_NAME": literals.jvm(taken.name),
        "INPUT_NAME_CPP": literals.cpp(taken.name),
        "INPUT_SHAPE": ", ".join(f"{size}L" for size in taken.shape),
        "INPUT_SHAPE_INTS": ", ".join(map(str, taken.shape)),
        **_preprocess_marks(bundle.preprocess, taken),
        **_tensor_marks("INPUT", taken),
    }


def output_marks(bundle: Bundle) -> list[dict[str, str]]:
    """For each output the values of the lines that are written once per output."""
    return [_output_marks(tensor, *tolerance(bundle, tensor)) for tensor in bundle.output_tensors]


def _output_marks(tensor: TensorInfo, allowed: float, reason: str) -> dict[str, str]:
    return {
        "OUTPUT_NAME": literals.jvm(tensor.name),
        "OUTPUT_NAME_CPP": literals.cpp(tensor.name),
        "OUTPUT_NAME_CODE": literals.markdown(tensor.name),
        "OUTPUT_SHAPE": ", ".join(map(str, tensor.shape)),
        "OUTPUT_LAYOUT": tensor.layout,
        "OUTPUT_MEANING": str(tensor.meaning),
        "OUTPUT": described(tensor),
        "TOLERANCE": floating(allowed),
        "TOLERANCE_REASON": reason,
        **_tensor_marks("OUTPUT", tensor),
    }


def described(tensor: TensorInfo) -> str:
    """`int8 1x80x80x3 (NHWC)`."""
    layout = "" if tensor.layout == "other" else f" ({tensor.layout})"
    return f"{tensor.dtype} {'x'.join(map(str, tensor.shape)) or 'scalar'}{layout}"


def check_supported(bundle: Bundle) -> None:
    if bundle.input.dtype not in IMAGE_TYPES or bundle.input.layout not in ("NCHW", "NHWC"):
        raise _unsupported(bundle, "takes", bundle.input, "feed it from contract.json, by hand")
    for tensor in bundle.output_tensors:
        if tensor.dtype not in CPP_TYPES:
            raise _unsupported(bundle, f"gives {tensor.name!r} as", tensor, f"end it in {', '.join(CPP_TYPES)}")


def _unsupported(bundle: Bundle, what: str, tensor: TensorInfo, fix: str) -> EdgekitError:
    return EdgekitError(
        "EK302",
        what=f"the file {what} {tensor.dtype} {list(tensor.shape)}; the app's code is made for an image in, and"
        f" numbers in {', '.join(CPP_TYPES)} out",
        where=str(bundle.path),
        fix=fix,
    )


def _preprocess_marks(feed: Preprocess, taken: TensorInfo) -> dict[str, str]:
    return {
        "RESIZE": str(feed.resize),
        "CROP_HEIGHT": str(feed.crop[0]),
        "CROP_WIDTH": str(feed.crop[1]),
        "BICUBIC": flag(feed.interpolation == "bicubic"),
        "MEAN": floats(feed.mean),
        "STD": floats(feed.std),
        "BGR": flag(feed.channel_order == "BGR"),
        "RAW": flag(takes_raw_pixels(feed)),
        "CHANNELS_FIRST": flag(taken.layout == "NCHW"),
    }


def _tensor_marks(side: str, tensor: TensorInfo) -> dict[str, str]:
    return {
        f"{side}_TYPE": tensor.dtype.upper(),
        f"{side}_TYPE_CPP": CPP_TYPES[tensor.dtype],
        f"{side}_SCALE": floating(1.0 if tensor.scale is None else tensor.scale),
        f"{side}_ZERO": str(tensor.zero_point or 0),
    }


def flag(value: bool) -> str:
    return "true" if value else "false"


def floating(value: float) -> str:
    """A float32 literal of Kotlin, Java and C++ that reads back as exactly that number."""
    shortest = str(np.float32(value))
    return f"{shortest if re.search('[.e]', shortest) else shortest + '.0'}f"


def floats(values: Iterable[float]) -> str:
    return ", ".join(map(floating, values))
