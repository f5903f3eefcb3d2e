"""Weights per output channel and biases at the accumulator's scale."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.quant.bias_correction import correct_bias
from edgekit.quant.weights import LARGEST_BIAS, MOST_STEPS, along, bound_product, quantize_bias, quantize_weight

few = settings(derandomize=True, deadline=None, max_examples=60)
shapes = st.sampled_from([((3, 2, 3, 3), 0), ((4, 1, 3, 3), 0), ((5, 4), 0), ((4, 5), 1)])


@few
@given(shapes, st.integers(0, 2**32 - 1), st.floats(1e-6, 1e3))
def test_each_channel_is_within_half_of_its_own_step(shape_axis, seed, size):
    shape, axis = shape_axis
    rng = np.random.default_rng(seed)
    spread = along(rng.uniform(0.01, 10, shape[axis]).astype(np.float32), axis, len(shape))
    weight = (rng.normal(0, size, shape) * spread).astype(np.float32)
    found = quantize_weight(weight, axis)
    assert found.scale.shape == (shape[axis],)
    assert found.stored.dtype == np.int8
    assert np.abs(found.stored.astype(int)).max() <= 127
    steps = np.abs(found.dequantize().astype(np.float64) - weight) / along(found.scale, axis, len(shape))
    assert steps.max() <= 0.5 + 1e-4
    largest = np.abs(np.moveaxis(found.stored.astype(int), axis, 0).reshape(shape[axis], -1)).max(1)
    assert (largest == 127).all()


def test_a_dead_channel_stores_zeros_at_the_scale_of_its_neighbours():
    weight = np.zeros((3, 2, 1, 1), np.float32)
    weight[0], weight[2] = 1.27, 0.127
    found = quantize_weight(weight, 0)
    assert not found.stored[1].any()
    assert found.scale[1] == pytest.approx(0.01)


def test_a_layer_of_zeros_has_a_scale_above_zero():
    found = quantize_weight(np.zeros((2, 3), np.float32), 0, 0.1, np.zeros(2, np.float32))
    assert (found.scale > 0).all()
    assert np.isfinite(quantize_bias(np.ones(2, np.float32), found.scale)).all()


@few
@given(st.floats(-1e3, 1e3, width=32), st.floats(1e-4, 10), st.floats(1e-12, 1))
def test_a_bias_always_fits_and_is_within_half_a_step(bias, input_scale, size):
    weight, bias = np.full((1, 2), size, np.float32), np.array([bias], np.float32)
    scale = np.float32(input_scale) * quantize_weight(weight, 0, input_scale, bias).scale
    stored = quantize_bias(bias, scale)
    assert stored.dtype == np.int32
    assert abs(int(stored[0])) <= LARGEST_BIAS * 1.001
    assert abs(float(stored[0]) * float(scale[0]) - float(bias[0])) <= 0.501 * float(scale[0]) + 1e-6 * abs(
        float(bias[0])
    )


def test_a_bias_beyond_int32_saturates():
    assert list(quantize_bias(np.array([1e20, -1e20], np.float32), np.ones(2, np.float32))) == [2**31 - 1, 1 - 2**31]


def test_a_channel_whose_products_all_saturate_gets_the_largest_scale_that_xnnpack_takes():
    weight = quantize_weight(np.array([[1e6, -1e6, 0.0], [0.5, 1.0, -1.0]], np.float32), 0)
    bounded = bound_product(weight, input_scale=0.1, output_scale=0.01)
    assert bounded.scale[0] == np.float32(MOST_STEPS * 0.01 / 0.1)
    assert list(bounded.stored[0]) == [127, -127, 0]
    assert bounded.scale[1] == weight.scale[1]
    assert np.array_equal(bounded.stored[1], weight.stored[1])
    assert bound_product(weight, input_scale=0.1, output_scale=1e4) is weight


def layer(weight, x, groups):
    """A (grouped) 3x3 convolution at one place, in float64: x f64[n, I, 9] -> f64[n, O]."""
    inputs, outputs = weight.shape[1], weight.shape[0] // groups
    split = weight.astype(np.float64).reshape(groups, outputs, inputs, 9)
    return np.einsum("ngip,goip->ngo", x.reshape(len(x), groups, inputs, 9), split).reshape(len(x), -1)


@pytest.mark.parametrize(("outputs", "inputs", "groups"), [(6, 5, 1), (4, 4, 4), (8, 4, 4), (6, 4, 2)])
def test_the_mean_output_of_the_quantized_layer_is_the_float_layers(outputs, inputs, groups):
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 1, (outputs, inputs // groups, 3, 3)).astype(np.float32)
    bias, means = rng.normal(0, 1, outputs).astype(np.float32), rng.normal(3, 1, inputs)
    x = rng.normal(0, 1, (500, inputs, 9))
    x += means[:, None] - x.mean(0)
    quantized = quantize_weight(weight, 0)
    corrected = correct_bias(bias, weight, quantized, means)
    expected = (layer(weight, x, groups) + bias).mean(0)
    found = layer(quantized.dequantize(), x, groups).mean(0)
    assert np.allclose(found + corrected, expected, atol=1e-5)
    assert np.abs(found + bias - expected).max() > 1e-2


def test_a_matrix_with_output_channels_last_is_corrected_too():
    rng = np.random.default_rng(0)
    weight, x = rng.normal(0, 1, (5, 3)).astype(np.float32), rng.normal(2, 1, (100, 5))
    quantized = quantize_weight(weight, 1)
    corrected = correct_bias(np.zeros(3, np.float32), weight, quantized, x.mean(0))
    assert np.allclose((x @ quantized.dequantize()).mean(0) + corrected, (x @ weight).mean(0), atol=1e-5)


def test_weights_that_are_stored_exactly_need_no_correction():
    weight = np.array([[127, -5, 8], [64, 127, -1]], np.float32).reshape(2, 3, 1, 1)
    bias = np.array([0.5, -2.0], np.float32)
    assert np.array_equal(correct_bias(bias, weight, quantize_weight(weight, 0), np.full(3, 9.0)), bias)
