"""Which gate applies to a device: equal for like with like, steps or decibels otherwise."""

from dataclasses import replace

import numpy as np
import pytest

from edgekit.devices.result import RunnerResult, Sensors, TensorShape
from edgekit.environment import installed
from edgekit.errors import EdgekitError
from edgekit.target import TensorInfo, targets
from edgekit.verify.device import MIN_SQNR_DB, Subject, judge, raise_differences

SCALE = 0.5
INT8 = TensorInfo("y", (1, 100), "int8", "NC", SCALE, -3)
FLOAT = TensorInfo("y", (1, 100), "float32", "NC")
HOST = (SCALE * np.random.default_rng(0).integers(-100, 100, (4, 100))).astype(np.float32)


def subject(target, output, reference=None):
    return Subject(
        targets.get(target), None, "0" * 64, output, output, HOST, HOST, HOST if reference is None else reference
    )


def result(**changes):
    """A runner that ran what this host runs."""
    shape = TensorShape("int8", (1, 100), 100)
    same = RunnerResult(
        runner="c",
        runtime="litert",
        runtime_version=installed("ai-edge-litert") or "",
        machine="aarch64",
        delegate="XNNPACK",
        partitions=1,
        undelegated=0,
        model_sha256="0" * 64,
        input=shape,
        output=shape,
        images=4,
        outputs_bytes=400,
        outputs_sha256="0" * 64,
        threads=1,
        cpu_mask="0",
        warmup=0,
        load_ms=1.0,
        first_ms=1.0,
        runs_ms=(),
        peak_rss_kb=1,
        sensors=Sensors({}, {}, (), ()),
        clock_jumped=False,
    )
    return replace(same, **changes)


def with_steps(count):
    """The host's outputs with one of them `count` steps away."""
    moved = HOST.copy()
    moved[0, 0] += count * SCALE
    return moved


OTHERS = [{"runtime_version": "1.0"}, {"runtime": "tflite-runtime"}, {"delegate": "none"}, {"undelegated": 3}]


def test_like_with_like_is_equal_or_fails():
    assert judge("d", subject("tflite-int8", INT8), result(), HOST).hop.passed
    row = judge("d", subject("tflite-int8", INT8), result(), with_steps(1))
    assert (row.like, row.different, row.steps, row.hop.passed) == (True, 1, 1, False)
    assert row.hop.gate == "bit-exact: 1 of 400 outputs differ"


@pytest.mark.parametrize("other", OTHERS)
def test_other_kernels_may_round_by_two_steps(other):
    row = judge("d", subject("tflite-int8", INT8), result(**other), with_steps(2))
    assert (row.like, row.hop.passed, row.hop.gate) == (False, True, "2 <= 2 steps")


def test_more_steps_must_be_small_beside_the_outputs():
    few = judge("d", subject("tflite-int8", INT8), result(delegate="none"), with_steps(9)).hop
    assert few.passed
    assert few.gate == f"9 steps, SQNR {few.sqnr_db:.1f} dB >= {MIN_SQNR_DB:.1f} dB"
    noise = np.random.default_rng(1).integers(-20, 20, HOST.shape) * np.float32(SCALE)
    assert not judge("d", subject("tflite-int8", INT8), result(delegate="none"), HOST + noise).hop.passed


def test_rounding_may_cost_what_quantization_costs():
    noise = np.random.default_rng(1).integers(-20, 20, HOST.shape) * np.float32(SCALE)  # 14 dB
    coarse = subject("tflite-int8", INT8, reference=HOST - 2 * noise)
    assert judge("d", coarse, result(delegate="none"), HOST + noise).hop.passed
    assert not judge("d", coarse, result(delegate="none"), HOST + 4 * noise).hop.passed
    assert not judge("d", coarse, result(), HOST + noise).hop.passed


def test_onnx_runtimes_integers_are_equal_too():
    ort = {"runtime": "onnxruntime", "runtime_version": installed("onnxruntime"), "delegate": "CPUExecutionProvider"}
    moved = np.nextafter(HOST, np.float32(1e9))
    assert not judge("d", subject("ort-int8", FLOAT), result(**ort, undelegated=None), moved).hop.passed
    assert judge("d", subject("ort-int8", FLOAT), result(**{**ort, "runtime_version": "1.0"}), moved).hop.passed


@pytest.mark.parametrize(
    ("target", "error", "passed"),
    [
        ("tflite-fp32", 1e-6, True),
        ("tflite-fp32", 1e-4, False),
        ("tflite-dynamic", 1e-4, True),
        ("ort-dynamic", 1.0, False),
    ],
)
def test_floats_are_close(target, error, passed):
    moved = HOST + np.float32(error * np.ptp(HOST))
    assert judge("d", subject(target, FLOAT), result(), moved).hop.passed is passed


def test_what_is_rounded_on_the_fly_may_differ_more_across_runtimes():
    moved = HOST + np.random.default_rng(3).normal(0, 0.03 * HOST.std(), HOST.shape).astype(np.float32)  # 30 dB
    assert not judge("d", subject("tflite-dynamic", FLOAT), result(), moved).hop.passed
    assert judge("d", subject("tflite-dynamic", FLOAT), result(runtime="tflite-runtime"), moved).hop.passed


def test_outputs_of_another_shape_or_not_finite_fail():
    for outputs in (HOST[:, :99], np.full_like(HOST, np.nan)):
        assert not judge("d", subject("tflite-int8", INT8), result(), outputs).hop.passed


def test_the_devices_that_differ_are_one_error():
    rows = [judge(name, subject("tflite-int8", INT8), result(), HOST) for name in ("a", "b")]
    raise_differences(rows, "bundle")
    rows.append(judge("c", subject("tflite-int8", INT8), result(), with_steps(1)))
    with pytest.raises(EdgekitError) as raised:
        raise_differences(rows, "bundle")
    error = raised.value
    assert (error.code, error.exit_code, error.where) == ("EK503", 1, "bundle")
    assert [row[0] for row in error.table.rows] == ["c"]
    assert error.what.startswith("1 of 3 devices")
