"""What a graph's weights are, as one hash."""

import hashlib

import numpy as np
import onnx_ir as ir


def constants_sha256(model: ir.Model) -> str:
    """SHA-256 over the names, dtypes, shapes and values of a graph's constants, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(model.graph.initializers.items()):
        if value.const_value is not None:
            array = np.ascontiguousarray(value.const_value.numpy())
            digest.update(f"{name}\0{value.const_value.dtype}\0{array.shape}\0".encode())
            digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()
