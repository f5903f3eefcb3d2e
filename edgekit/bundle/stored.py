"""Between real values in ONNX axis order and tensors as a model file stores them: layout, scale and zero point."""

import numpy as np
from numpy.typing import NDArray

from edgekit.target import FloatArray, TensorInfo


def to_stored(images: FloatArray, tensor: TensorInfo) -> NDArray[np.generic]:
    """f32[n, C, H, W] (or f32[n, ...]) -> n tensors as the file stores them.

    round(real / scale) + zero_point in float32, halves to even, as QuantizeLinear does it.
    """
    laid = images.transpose(0, 2, 3, 1) if tensor.layout == "NHWC" else images
    dtype = np.dtype(tensor.dtype)
    if tensor.scale is None:
        return np.ascontiguousarray(laid, dtype)
    limits = np.iinfo(dtype)
    steps = np.rint(laid / np.float32(tensor.scale)) + (tensor.zero_point or 0)
    return np.ascontiguousarray(np.clip(steps, limits.min, limits.max).astype(dtype))


def to_real(data: bytes, tensor: TensorInfo) -> FloatArray:
    """Stored tensors, back to back -> f32[n, k], flattened in ONNX axis order.

    real = scale * (stored - zero_point), in float32.

    Raises:
        ValueError: the bytes are no multiple of the tensor's size.
    """
    stored = np.frombuffer(data, np.dtype(tensor.dtype)).reshape(-1, *tensor.shape[1:])
    laid = stored.transpose(0, 3, 1, 2) if tensor.layout == "NHWC" else stored
    rows = laid.reshape(len(laid), -1)
    if tensor.scale is None:
        return np.ascontiguousarray(rows, np.float32)
    real: FloatArray = (np.float32(tensor.scale) * (rows.astype(np.int32) - (tensor.zero_point or 0))).astype(
        np.float32
    )
    return real
