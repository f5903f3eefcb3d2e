"""Scale and zero point: how far a stored number may be from the real one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.quant.parameters import (
    FIXED,
    MIN_SCALE,
    SCALE_OF_NOTHING,
    QParams,
    choose_constant,
    choose_int8,
    choose_int16,
    round_scale,
)

few = settings(derandomize=True, deadline=None, max_examples=150)
bounds = st.floats(-1e4, 1e4, width=32)
SLACK = {"int8": 1e-4, "int16": 0.02}
"""Of a step: float32 division of the largest values, and the scale rounded down to float32."""


@few
@given(bounds, bounds, st.sampled_from(["int8", "int16"]), st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_inside_the_range_storing_costs_half_a_step_at_most(first, second, dtype, places):
    low, high = min(first, second, 0.0), max(first, second, 0.0)
    params = choose_int8(low, high) if dtype == "int8" else choose_int16(low, high)
    real = np.array([low + place * (high - low) for place in places] + [low, high], np.float32)
    error = np.abs(params.dequantize(params.quantize(real)).astype(np.float64) - real)
    assert error.max() <= params.scale * (0.5 + SLACK[dtype])


@few
@given(bounds, bounds)
def test_zero_is_stored_exactly(first, second):
    for params in (choose_int8(first, second), choose_int16(first, second)):
        stored = params.quantize(np.zeros(1, np.float32))
        assert stored[0] == params.zero_point
        assert params.dequantize(stored)[0] == 0.0
        low, high = params.limits
        assert low <= params.zero_point <= high


@few
@given(bounds, bounds)
def test_scales_are_float32_numbers_above_zero(first, second):
    for params in (choose_int8(first, second), choose_int16(first, second)):
        assert params.scale >= MIN_SCALE
        assert params.scale == float(np.float32(params.scale))


@few
@given(st.floats(2.0**-10, 1e4, width=32))
def test_a_bound_at_zero_is_never_passed_so_a_relu_or_clip_there_is_saturation(bound):
    above, below = choose_int8(0.0, bound), choose_int8(-bound, 0.0)
    assert (above.zero_point, below.zero_point) == (-128, 127)
    assert above.span[0] == 0.0
    assert above.span[1] <= bound
    assert below.span[1] == 0.0
    assert below.span[0] >= -bound


@few
@given(st.integers(-128, 127), bounds, bounds)
def test_stored_integers_come_back_as_themselves(stored, first, second):
    params = choose_int8(first, second)
    values = np.array([stored], np.int8)
    assert params.quantize(params.dequantize(values))[0] == stored


def test_values_outside_the_range_saturate():
    params = choose_int8(-1.0, 1.0)
    assert list(params.quantize(np.array([-9.0, 9.0], np.float32))) == [-128, 127]
    assert list(choose_int16(-1.0, 1.0).quantize(np.array([-9.0, 9.0], np.float32))) == [-32767, 32767]


def test_halves_are_rounded_to_even_as_onnx_rounds():
    assert list(QParams(1.0, 0).quantize(np.array([0.5, 1.5, 2.5, -0.5, -1.5], np.float32))) == [0, 2, 2, 0, -2]


@pytest.mark.parametrize(("choose", "scale"), [(choose_int8, SCALE_OF_NOTHING), (choose_int16, 1.0)])
def test_a_constant_zero_activation_gets_a_usable_scale(choose, scale):
    assert choose(0.0, 0.0).scale == scale
    assert choose(0.0, 1e-30).scale == MIN_SCALE
    assert choose(-1e-30, 0.0).scale == MIN_SCALE


@few
@given(st.floats(2.0**-20, 1e6, width=32), st.booleans())
def test_a_constant_operand_of_one_value_is_stored_exactly(size, negative):
    value = np.full(3, -size if negative else size, np.float32)
    params = choose_constant(value, "int8")
    assert np.allclose(params.dequantize(params.quantize(value)), value, rtol=1e-6, atol=0)


def test_other_constants_have_the_range_of_their_values():
    assert choose_constant(np.array([-1.0, 2.0]), "int8") == choose_int8(-1.0, 2.0)
    assert choose_constant(np.array([-1.0, 2.0]), "int16") == choose_int16(-1.0, 2.0)
    assert choose_constant(np.zeros(2), "int8").scale == SCALE_OF_NOTHING


@few
@given(st.floats(2.0**-20, 1e6))
def test_a_scale_is_rounded_down_to_the_nearest_float32(scale):
    rounded = round_scale(scale)
    assert rounded <= scale
    assert float(np.nextafter(np.float32(rounded), np.float32(np.inf))) > scale


def test_fixed_parameters_are_those_of_the_kernels():
    assert FIXED["Softmax", "int8"] == FIXED["Sigmoid", "int8"] == QParams(1 / 256, -128)
    assert FIXED["Tanh", "int8"] == QParams(1 / 128, 0)
    assert FIXED["Sigmoid", "int8"].span == (0.0, 255 / 256)
    assert FIXED["Tanh", "int8"].span == (-1.0, 127 / 128)
    assert all(params.zero_point == 0 for (_, dtype), params in FIXED.items() if dtype == "int16")
