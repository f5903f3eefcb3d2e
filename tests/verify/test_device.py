"""Which gate applies to each output on a device: equal for like with like, steps or decibels otherwise."""

from dataclasses import replace

import numpy as np
import pytest
from heads import IMAGES, NAMES, subject_in

from edgekit.devices.result import DeviceTensor, RunnerResult, Sensors
from edgekit.devices.run_model import open_device
from edgekit.environment import installed
from edgekit.errors import EdgekitError
from edgekit.target import TensorInfo, targets
from edgekit.verify.device import MIN_SQNR_DB, Subject, check_device, check_outputs, judge, raise_differences

SCALE = 0.5
INT8 = TensorInfo("y", (1, 100), "int8", "NC", SCALE, -3)
FLOAT = TensorInfo("y", (1, 100), "float32", "NC")
HOST = (SCALE * np.random.default_rng(0).integers(-100, 100, (4, 100))).astype(np.float32)
FINE = replace(INT8, name="fine", scale=SCALE / 8)
"""A second output, whose steps are an eighth of the first one's."""


def subject(target, output, reference=None):
    """A file with the output `y`."""
    float_model = {"y": HOST if reference is None else reference}
    return Subject(targets.get(target), None, "0" * 64, output, (output,), IMAGES, {"y": HOST}, float_model, None)


def result(**changes):
    """A runner that ran what this host runs."""
    same = RunnerResult(
        runner="c",
        runtime="litert",
        runtime_version=installed("ai-edge-litert") or "",
        machine="aarch64",
        delegate="XNNPACK",
        partitions=1,
        undelegated=0,
        model_sha256="0" * 64,
        input=DeviceTensor("x", "int8", (1, 100), 100),
        outputs=(DeviceTensor("y", "int8", (1, 100), 100),),
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


def judged(checked, actual, name="d", **changes):
    """The row of a device that gives `actual` as `y`."""
    return judge(name, checked, result(**changes), {"y": actual})


def passes(checked, actual, **changes):
    return judged(checked, actual, **changes).hop.passed


def with_steps(count, scale=SCALE):
    """The host's outputs with one of them `count` steps away."""
    moved = HOST.copy()
    moved[0, 0] += count * scale
    return moved


OTHERS = [{"runtime_version": "1.0"}, {"runtime": "tflite-runtime"}, {"delegate": "none"}, {"undelegated": 3}]


def test_like_with_like_is_equal_or_fails():
    assert passes(subject("tflite-int8", INT8), HOST)
    row = judged(subject("tflite-int8", INT8), with_steps(1))
    assert (row.like, row.hop.passed) == (True, False)
    assert row.hop.gate == "bit-exact: 1 of 400 values differ"
    assert row.document()["outputs"] == [{"output": "y", "different": 1, "total": 400, "steps": 1}]


@pytest.mark.parametrize("other", OTHERS)
def test_other_kernels_may_round_by_two_steps(other):
    row = judged(subject("tflite-int8", INT8), with_steps(2), **other)
    assert (row.like, row.hop.passed, row.hop.gate) == (False, True, "2 <= 2 steps")


def test_other_kernels_that_give_the_same_are_said_to():
    row = judged(subject("tflite-int8", INT8), HOST, delegate="none")
    assert (row.like, row.hop.gate) == (False, "bit-exact: 0 of 400 values differ")


def test_more_steps_must_be_small_beside_the_outputs():
    few = judged(subject("tflite-int8", INT8), with_steps(9), delegate="none").hop
    assert few.passed
    assert few.gate == f"9 steps, SQNR {few.worst.sqnr_db:.1f} dB >= {MIN_SQNR_DB:.1f} dB"
    noise = np.random.default_rng(1).integers(-20, 20, HOST.shape) * np.float32(SCALE)
    assert not passes(subject("tflite-int8", INT8), HOST + noise, delegate="none")


def test_rounding_may_cost_what_quantization_costs():
    noise = np.random.default_rng(1).integers(-20, 20, HOST.shape) * np.float32(SCALE)  # 14 dB
    coarse = subject("tflite-int8", INT8, reference=HOST - 2 * noise)
    assert passes(coarse, HOST + noise, delegate="none")
    assert not passes(coarse, HOST + 4 * noise, delegate="none")
    assert not passes(coarse, HOST + noise)


def test_onnx_runtimes_integers_are_equal_too():
    ort = {"runtime": "onnxruntime", "runtime_version": installed("onnxruntime"), "delegate": "CPUExecutionProvider"}
    moved = np.nextafter(HOST, np.float32(1e9))
    assert not passes(subject("ort-int8", FLOAT), moved, **ort, undelegated=None)
    assert passes(subject("ort-int8", FLOAT), moved, **{**ort, "runtime_version": "1.0"})


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
    assert passes(subject(target, FLOAT), moved) is passed


def test_what_is_rounded_on_the_fly_may_differ_more_across_runtimes():
    moved = HOST + np.random.default_rng(3).normal(0, 0.03 * HOST.std(), HOST.shape).astype(np.float32)  # 30 dB
    assert not passes(subject("tflite-dynamic", FLOAT), moved)
    assert passes(subject("tflite-dynamic", FLOAT), moved, runtime="tflite-runtime")


def test_outputs_of_another_shape_or_not_finite_fail():
    for outputs in (HOST[:, :99], np.full_like(HOST, np.nan)):
        assert not passes(subject("tflite-int8", INT8), outputs)


def two_outputs(target="tflite-int8", reference=HOST):
    """A file with the outputs `y` and `fine`, whose float model gave `reference` for the second."""
    given = {"y": HOST, "fine": HOST}
    kind = targets.get(target)
    return Subject(kind, None, "0" * 64, INT8, (INT8, FINE), IMAGES, given, {"y": HOST, "fine": reference}, "fine")


@pytest.mark.parametrize("wrong", ["y", "fine"])
def test_one_output_that_differs_is_enough_and_is_named(wrong):
    row = judge("d", two_outputs(), result(), {"fine": HOST, "y": HOST} | {wrong: with_steps(1)})
    assert {output.output: output.passed for output in row.hop.outputs} == {"y": wrong != "y", "fine": wrong != "fine"}
    assert row.hop.gate == f"{wrong}: bit-exact: 1 of 400 values differ"
    with pytest.raises(EdgekitError) as raised:
        raise_differences([row], "bundle")
    assert raised.value.table.columns == ("device", "runtime", "delegate", "output", "gate")
    assert [row[3:] for row in raised.value.table.rows] == [(wrong, "bit-exact: 1 of 400 values differ")]


def test_steps_are_those_of_each_outputs_own_scale():
    row = judge("d", two_outputs(), result(delegate="none"), {"y": with_steps(1), "fine": with_steps(1)})
    assert [(found.output, found.steps) for found in row.differences] == [("y", 1), ("fine", 8)]
    assert [output.gate.split(",")[0] for output in row.hop.outputs] == ["1 <= 2 steps", "8 steps"]


def test_what_quantization_cost_one_output_is_no_licence_for_another():
    noise = np.random.default_rng(1).integers(-20, 20, HOST.shape) * np.float32(SCALE)  # 14 dB
    moved = {"y": HOST + noise, "fine": HOST + noise}
    row = judge("d", two_outputs(reference=HOST - 2 * noise), result(delegate="none"), moved)
    assert {output.output: output.passed for output in row.hop.outputs} == {"y": False, "fine": True}


def test_classes_are_compared_where_an_output_has_them():
    outputs = judge("d", two_outputs(), result(), {"y": HOST, "fine": HOST}).hop.outputs
    assert {output.output: output.agreement for output in outputs} == {"y": None, "fine": 1.0}


THERE = (DeviceTensor("fine", "int8", (1, 100), 100), DeviceTensor("y", "int8", (1, 100), 100))


def test_a_devices_outputs_are_the_contracts_in_any_order():
    check_outputs((INT8, FINE), THERE, "board")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (THERE[:1], "no output 'y'"),
        ((*THERE, DeviceTensor("z", "int8", (1,), 1)), "an output 'z' more"),
        ((THERE[0], replace(THERE[1], name="z")), "no output 'y', an output 'z' more"),
        ((THERE[0], replace(THERE[1], dtype="uint8")), "output 'y' is uint8[1, 100], the contract says int8[1, 100]"),
        ((THERE[0], replace(THERE[1], shape=(1, 99))), "output 'y' is int8[1, 99], the contract says int8[1, 100]"),
    ],
)
def test_other_outputs_than_the_contracts_are_not_believed(found, said):
    with pytest.raises(EdgekitError) as raised:
        check_outputs((INT8, FINE), found, "board")
    assert (raised.value.code, raised.value.where) == ("EK608", "board")
    assert said in raised.value.what


@pytest.mark.parametrize("target", ["tflite-int8", "ort-int8", "tflite-fp32", "ort-fp32"])
def test_every_output_of_a_file_is_compared_on_this_host_too(target, tmp_path):
    with open_device("local") as device:
        row = check_device(device, subject_in(tmp_path, NAMES, target), 60)
    assert row.hop.passed
    assert [output.output for output in row.hop.outputs] == list(NAMES)
    assert {found.total for found in row.differences} == {3 * 10, 3 * 4, 3 * 5 * 6 * 8}


def test_a_name_that_the_file_does_not_have_is_told(tmp_path):
    checked = subject_in(tmp_path, NAMES, "ort-fp32")
    renamed = tuple(replace(tensor, name=tensor.name.replace("maps", "masks")) for tensor in checked.tensors)
    with open_device("local") as device, pytest.raises(EdgekitError) as raised:
        check_device(device, replace(checked, tensors=renamed), 60)
    assert raised.value.code == "EK608"
    assert "no output 'masks', an output 'maps' more" in raised.value.what


def test_the_devices_that_differ_are_one_error():
    rows = [judged(subject("tflite-int8", INT8), HOST, name) for name in ("a", "b")]
    raise_differences(rows, "bundle")
    rows.append(judged(subject("tflite-int8", INT8), with_steps(1), "c"))
    with pytest.raises(EdgekitError) as raised:
        raise_differences(rows, "bundle")
    error = raised.value
    assert (error.code, error.exit_code, error.where) == ("EK503", 1, "bundle")
    assert [row[0] for row in error.table.rows] == ["c"]
    assert error.what.startswith("1 of 3 devices")
