"""The values of the templates' marks, from a bundle: one fact, spelled for Kotlin, Java and C++."""

import re
from collections.abc import Iterable

import numpy as np

from edgekit.bundle.files import LABELS, Bundle
from edgekit.errors import EdgekitError
from edgekit.images.preprocess import takes_raw_pixels
from edgekit.registry import Preprocess
from edgekit.target import TensorInfo

CPP_TYPES = {"float32": "kFloat32", "int8": "kInt8", "uint8": "kUint8", "int16": "kInt16"}
"""The dtypes that the generated code knows, as its C++ names them; Kotlin and Java write them in capitals."""


def contract_marks(bundle: Bundle, assets: str) -> dict[str, str]:
    """Values of Contract.kt, Contract.java and contract.h. `assets` is the folder of the file among the app's assets.

    Raises:
        EdgekitError: EK302 for a file that takes no image, or whose numbers the generated code cannot read.
    """
    check_supported(bundle)
    taken, given, feed = bundle.input, bundle.output, bundle.preprocess
    return {
        "ASSETS": assets,
        "MODEL_FILE": bundle.model_file.name,
        "LABELS": f"{assets}/{LABELS}" if bundle.labels else "",
        "MIN_RUNTIME": str(bundle.manifest["min_runtime"]),
        "INPUT_NAME": quoted(taken.name),
        "OUTPUT_NAME": quoted(given.name),
        "INPUT_NAME_CPP": escaped(taken.name),
        "OUTPUT_NAME_CPP": escaped(given.name),
        "INPUT_SHAPE": ", ".join(f"{size}L" for size in taken.shape),
        "INPUT_SHAPE_INTS": ", ".join(map(str, taken.shape)),
        **_preprocess_marks(feed, taken),
        **_tensor_marks("INPUT", taken),
        **_tensor_marks("OUTPUT", given),
    }


def check_supported(bundle: Bundle) -> None:
    for what, tensor in (("takes", bundle.input), ("gives", bundle.output)):
        if tensor.dtype not in CPP_TYPES or (what == "takes" and tensor.layout not in ("NCHW", "NHWC")):
            raise EdgekitError(
                "EK302",
                what=f"the file {what} {tensor.dtype} {list(tensor.shape)}; the app's code is made for an image in, and"
                f" numbers in {', '.join(CPP_TYPES)}",
                where=str(bundle.path),
                fix="end the model in scores instead of indices, or use contract.json and write that part by hand",
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


def escaped(name: str) -> str:
    """The inside of a string literal."""
    return name.replace("\\", "\\\\").replace('"', '\\"')


def quoted(name: str) -> str:
    """The same for Kotlin, which reads `$` in one, and Java."""
    return escaped(name).replace("$", "\\u0024")
