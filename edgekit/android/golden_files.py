"""The bundle's golden images and vectors as an app's test reads them: raw little-endian tensors, one file each."""

import io
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from edgekit.bundle.files import Bundle
from edgekit.graph.stored import to_stored
from edgekit.target import FloatArray, TensorInfo

STEPS = 2  # how far another machine's integer kernels may be off
FLOAT_ERROR = 1e-3  # of the outputs' range, for another machine's order of additions


def module_files(bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of images.txt, tensors.txt and for each name NAME.png, NAME.input and NAME.outputs."""
    vectors = {f"vector{i}": i for i in range(len(bundle.inputs))}
    yield "images.txt", _lines(image.name for image in bundle.golden_images)
    yield "tensors.txt", _lines([*(image.name for image in bundle.golden_images), *vectors])
    for image in bundle.golden_images:
        yield f"{image.name}.png", image.png
        yield f"{image.name}.input", _little_endian(image.stored)
        yield f"{image.name}.outputs", _little_endian(as_stored(image.outputs, bundle.output))
    for name, i in vectors.items():
        yield f"{name}.input", _little_endian(to_stored(bundle.inputs[i : i + 1], bundle.input))
        yield f"{name}.outputs", _little_endian(as_stored(bundle.outputs[i], bundle.output))


def image_files(bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    """The images alone, as PAM files, which a few lines of C++ read."""
    yield "images.txt", _lines(image.name for image in bundle.golden_images)
    for image in bundle.golden_images:
        yield f"{image.name}.pam", pam(image.png)
        yield f"{image.name}.input", _little_endian(image.stored)


def tolerance(bundle: Bundle) -> tuple[float, str]:
    """How far scores may be off on a device, and why. Integers of one runtime and delegate are equal everywhere."""
    scale = bundle.output.scale
    if scale is not None:
        return STEPS * scale, f"{STEPS} steps of the stored scores: other kernels round differently."
    span = float(np.ptp(bundle.outputs))
    if bundle.manifest["scheme"]["activation"] == "float32":
        return FLOAT_ERROR * span, "A thousandth of the scores' range: other CPUs add in another order."
    return 0.05 * span, "A twentieth of the scores' range: other kernels round the integers inside differently."


def as_stored(outputs: FloatArray, tensor: TensorInfo) -> FloatArray:
    """f32[k] in ONNX axis order -> in the order in which the file stores it."""
    if tensor.layout != "NHWC":
        return outputs
    _, height, width, channels = tensor.shape
    return np.ascontiguousarray(outputs.reshape(channels, height, width).transpose(1, 2, 0).reshape(-1))


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
