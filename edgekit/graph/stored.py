"""Between real values in ONNX axis order and tensors as a model file stores them: layout, scale and zero point."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph.outputs import without_batch
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
    """Stored tensors, back to back -> f32[n, ...] with axes in ONNX order, without a batch axis of 1.

    real = scale * (stored - zero_point), in float32.

    Raises:
        ValueError: the bytes are no multiple of the tensor's size.
    """
    rows = np.frombuffer(data, np.dtype(tensor.dtype)).reshape(-1, *tensor.shape)
    return np.stack([without_batch(real_values(row, tensor)) for row in rows])


def real_values(stored: NDArray[Any], tensor: TensorInfo) -> FloatArray:
    """One stored tensor as real values, axes in ONNX order; indices of classes and booleans as i64."""
    laid = stored.transpose(0, 3, 1, 2) if tensor.layout == "NHWC" else stored
    if tensor.scale is None:
        return np.ascontiguousarray(laid, np.float32 if laid.dtype.kind == "f" else np.int64)
    steps = laid.astype(np.int32) - (tensor.zero_point or 0)
    real: FloatArray = (np.float32(tensor.scale) * steps).astype(np.float32)
    return real
