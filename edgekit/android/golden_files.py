"""The bundle's golden images and vectors as an app's test reads them: raw little-endian tensors, one file each."""

import io
import json
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from edgekit.bundle.files import Bundle
from edgekit.graph.outputs import take
from edgekit.graph.stored import to_stored
from edgekit.target import FloatArray, Outputs, TensorInfo

STEPS = 2  # how far another machine's integer kernels may be off
INTEGER_ERROR = 0.05  # of an output's range, where integers end in floats inside the file
FLOAT_ERROR = 1e-3  # of an output's range, for another machine's order of additions
ROUNDING = 1e-6  # of its largest value: an output that never changes has no range


def module_files(bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of images.txt, tensors.txt, outputs.txt and for each name NAME.png, NAME.input and NAME.outputs.I.

    Names of outputs are the user's and not for file names: I is the place in the contract, outputs.txt has the names.
    """
    vectors = {f"vector{i}": i for i in range(len(bundle.inputs))}
    yield "images.txt", _lines(image.name for image in bundle.golden_images)
    yield "tensors.txt", _lines([*(image.name for image in bundle.golden_images), *vectors])
    yield "outputs.txt", _lines(f"{i} {json.dumps(tensor.name)}" for i, tensor in enumerate(bundle.output_tensors))
    for image in bundle.golden_images:
        yield f"{image.name}.png", image.png
        yield f"{image.name}.input", _little_endian(image.stored)
        yield from _output_files(image.name, image.outputs, bundle)
    for name, i in vectors.items():
        yield f"{name}.input", _little_endian(to_stored(bundle.inputs[i : i + 1], bundle.input))
        yield from _output_files(name, take(bundle.outputs, i), bundle)


def _output_files(name: str, outputs: Outputs, bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    for i, tensor in enumerate(bundle.output_tensors):
        yield f"{name}.outputs.{i}", _little_endian(as_stored(outputs[tensor.name], tensor))


def image_files(bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    """The images alone, as PAM files, which a few lines of C++ read."""
    yield "images.txt", _lines(image.name for image in bundle.golden_images)
    for image in bundle.golden_images:
        yield f"{image.name}.pam", pam(image.png)
        yield f"{image.name}.input", _little_endian(image.stored)


def tolerance(bundle: Bundle, tensor: TensorInfo) -> tuple[float, str]:
    """How far an output may be off on a device, and why. Integers of one runtime and delegate are equal everywhere."""
    if tensor.scale is not None:
        return STEPS * tensor.scale, f"{STEPS} steps of the stored values: other kernels round differently"
    if tensor.dtype != "float32":
        return 0.0, "whole numbers: another one is another answer"
    values = bundle.outputs[tensor.name]
    finite = values[np.isfinite(values)]
    span, largest = (float(np.ptp(finite)), float(np.abs(finite).max())) if finite.size else (0.0, 0.0)
    share, reason = INTEGER_ERROR, "a twentieth of the range: other kernels round the integers inside differently"
    if bundle.manifest["scheme"]["activation"] == "float32":
        share, reason = FLOAT_ERROR, "a thousandth of the range: other CPUs add in another order"
    return share * span + ROUNDING * largest, reason


def as_stored(values: FloatArray, tensor: TensorInfo) -> FloatArray:
    """f32[...], or i64[...] of indices, in ONNX axis order -> f32[k] in the order in which the file stores it."""
    laid = np.moveaxis(values, -3, -1) if tensor.layout == "NHWC" else values
    return np.ascontiguousarray(laid, np.float32).reshape(-1)


def pam(png: bytes) -> bytes:
    """The picture's pixels as they are, behind a header of text."""
    with Image.open(io.BytesIO(png)) as image:
        kinds = {"L": "GRAYSCALE", "RGB": "RGB", "RGBA": "RGB_ALPHA"}
        header = f"P7\nWIDTH {image.width}\nHEIGHT {image.height}\nDEPTH {len(image.getbands())}\nMAXVAL 255\n"
        return f"{header}TUPLTYPE {kinds[image.mode]}\nENDHDR\n".encode() + image.tobytes()


def _little_endian(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()
