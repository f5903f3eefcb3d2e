"""Between real values and what a file stores: nothing is lost but half a step, and no axis is exchanged."""

import numpy as np
import pytest

from edgekit.graph.stored import real_values, to_real, to_stored
from edgekit.target import TensorInfo

INT8 = TensorInfo("scores", (1, 100), "int8", "NC", 0.05, -3)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_stored_and_real_are_inverse_within_half_a_step(layout):
    shape = (1, 4, 5, 3) if layout == "NHWC" else (1, 3, 4, 5)
    tensor = TensorInfo("x", shape, "int8", layout, 0.02, 7)
    real = np.random.default_rng(2).uniform(-2, 2, (2, 3, 4, 5)).astype(np.float32)
    stored = to_stored(real, tensor)
    assert stored.shape == (2, *shape[1:])
    assert np.abs(to_real(stored.tobytes(), tensor) - real).max() <= 0.0101


def test_what_lies_outside_the_range_saturates():
    assert to_stored(np.float32([[-100, 0, 100]]), INT8).tolist() == [[-128, -3, 127]]


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "float16"])
def test_numbers_without_a_scale_stay_as_they_are(dtype):
    stored = np.array([[0, 1, 1]], dtype)
    real = real_values(stored, TensorInfo("kept", (1, 3), dtype, "NC"))
    kept = np.float32 if dtype == "float16" else np.int64
    assert (real.dtype, real.tolist()) == (kept, [[0, 1, 1]])


def test_bytes_of_another_size_are_no_outputs():
    with pytest.raises(ValueError, match="reshape"):
        to_real(bytes(101), INT8)
