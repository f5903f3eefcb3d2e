"""A runner's document is read with distrust: whatever is wrong in it is EK608, never a traceback or a wrong number."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.devices.device import Completed
from edgekit.devices.result import MAX_NAME, MAX_OUTPUTS, read_result, split_outputs
from edgekit.errors import EdgekitError

GOOD = {
    "format": 2,
    "runner": "c",
    "runtime": "litert",
    "runtime_version": "2.3.0",
    "machine": "aarch64",
    "delegate": "XNNPACK",
    "partitions": 1,
    "undelegated": None,
    "model_sha256": "0" * 64,
    "input": {"name": "image", "dtype": "int8", "shape": [1, 8, 8, 3], "size_bytes": 192},
    "outputs": [
        {"name": "scores", "dtype": "int8", "shape": [1, 10], "size_bytes": 10},
        {"name": "größte", "dtype": "float32", "shape": [], "size_bytes": 4},
        {"name": "boxes", "dtype": "int16", "shape": [1, 2, 4], "size_bytes": 16},
    ],
    "images": 2,
    "outputs_bytes": 60,
    "outputs_sha256": "a" * 64,
    "threads": 1,
    "cpu_mask": "0",
    "warmup": 1,
    "load_ms": 10,
    "first_ms": 2.5,
    "runs_ms": [1.5, 1.25],
    "peak_rss_kb": 30000,
    "wall_s": 1.0,
    "monotonic_s": 1.1,
    "temperature_c": {"before": {"cpu#0": 40.5}, "after": {}},
    "frequency_khz": {"before": [1800000], "after": []},
}


def done(document, exit_code=0, stderr=b""):
    return Completed(exit_code, b"some words first\n" + json.dumps(document).encode() + b"\n", stderr)


def changed(*path_and_value):
    document = copy.deepcopy(GOOD)
    *path, last, value = path_and_value
    place = document
    for key in path:
        place = place[key]
    place[last] = value
    return document


def many(count):
    """The fields of a result with `count` outputs of a byte."""
    outputs = [{"name": f"y{index}", "dtype": "bool", "shape": [1], "size_bytes": 1} for index in range(count)]
    return {"outputs": outputs, "outputs_bytes": 2 * count}


def test_a_result_is_read():
    result = read_result(done(GOOD), "board")
    assert (result.runtime, result.partitions, result.undelegated) == ("litert", 1, None)
    assert (result.runs_ms, result.load_ms) == ((1.5, 1.25), 10.0)
    assert (result.input.name, result.input.shape) == ("image", (1, 8, 8, 3))
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in result.outputs] == [
        ("scores", "int8", (1, 10)),
        ("größte", "float32", ()),
        ("boxes", "int16", (1, 2, 4)),
    ]
    assert result.sensors.temperature_before_c == {"cpu#0": 40.5}
    assert not result.clock_jumped


def test_as_many_outputs_as_the_runners_read_are_believed():
    assert len(read_result(done({**GOOD, **many(MAX_OUTPUTS)}), "board").outputs) == MAX_OUTPUTS


def test_what_a_runner_wrote_is_split_by_output():
    result = read_result(done(GOOD), "board")
    first, second = (b"a" * 10 + b"b" * 4 + b"c" * 16), (b"A" * 10 + b"B" * 4 + b"C" * 16)
    split = split_outputs(result, first + second)
    assert list(split.items()) == [
        ("scores", b"a" * 10 + b"A" * 10),
        ("größte", b"b" * 4 + b"B" * 4),
        ("boxes", b"c" * 16 + b"C" * 16),
    ]


@pytest.mark.parametrize("version", [1, 3])
def test_a_runner_of_another_version_is_told_as_one(version):
    output = {"dtype": "int8", "shape": [1, 10], "size_bytes": 10}
    with pytest.raises(EdgekitError) as raised:
        read_result(done({**GOOD, "format": version, "output": output}), "board")
    assert raised.value.code == "EK608"
    assert f"the runner is of another version: format {version}, this edgekit reads 2" in raised.value.what


@pytest.mark.parametrize("wall_s", [4000.0, -3599.0])
def test_a_clock_that_jumped_is_seen(wall_s):
    assert read_result(done(changed("wall_s", wall_s)), "board").clock_jumped


@pytest.mark.parametrize(
    "document",
    [
        changed("format", True),
        changed("format", "2"),
        changed("runs_ms", [-1.0]),
        changed("runs_ms", [1e99]),
        changed("runs_ms", "1"),
        changed("load_ms", float("nan")),
        changed("outputs_sha256", "A" * 64),
        changed("model_sha256", "../etc"),
        changed("runtime", "x" * 65),
        changed("images", 0),
        changed("images", 10**30),
        changed("input", "shape", [1] * 9),
        changed("input", "shape", [-1]),
        changed("input", None),
        changed("input", "name", ""),
        changed("outputs", []),
        changed("outputs", {}),
        changed("outputs", [None]),
        changed("outputs", [GOOD["outputs"][0]] * 2),
        changed("outputs", 1, "name", "scores"),
        changed("outputs", 1, "name", "a\x1b[2J"),
        changed("outputs", 1, "name", "x" * (MAX_NAME + 1)),
        changed("outputs", 1, "name", 1),
        changed("outputs", 0, "dtype", "complex64"),
        changed("outputs", 0, "dtype", ["int8"]),
        changed("outputs", 0, "shape", [1, 11]),
        changed("outputs", 0, "shape", [1 << 31] * 8),
        changed("outputs", 0, "size_bytes", 11),
        changed("outputs_bytes", 61),
        changed("outputs_bytes", 0),
        {**GOOD, "outputs": [], "outputs_bytes": 0},
        {**GOOD, **many(MAX_OUTPUTS + 1)},
        changed("temperature_c", "before", {"a": "hot"}),
        changed("temperature_c", "after", {str(i): 1 for i in range(999)}),
        changed("frequency_khz", "before", [1.5]),
        {key: value for key, value in GOOD.items() if key != "threads"},
        {},
    ],
    ids=lambda document: None,
)
def test_a_result_with_a_wrong_field_is_none(document):
    with pytest.raises(EdgekitError) as raised:
        read_result(done(document), "board")
    assert (raised.value.code, raised.value.where) == ("EK608", "board")


@pytest.mark.parametrize("stdout", [b"", b"words", b"{", b"[1]", b"{" * 100_000, b"\xff\xfe{}"])
def test_what_is_no_json_object_is_no_result(stdout):
    with pytest.raises(EdgekitError) as raised:
        read_result(Completed(0, stdout, b""), "board")
    assert raised.value.code == "EK608"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(GOOD)) | st.text(), inner),
    )
)
def test_any_json_at_all_is_either_a_result_or_an_error_of_ours(document):
    with pytest.raises(EdgekitError):
        read_result(done(document), "board")


@pytest.mark.parametrize(
    ("kind", "message", "code"),
    [
        ("hash", "work/model has sha256 ...", "EK608"),
        ("memory", "cannot allocate 99 bytes", "EK607"),
        ("library", "neither is installed", "EK606"),
        ("io", "work/outputs: No space left on device", "EK605"),
        ("model", "Didn't find op for builtin opcode", "EK610"),
        (None, None, "EK610"),
    ],
)
def test_an_error_of_the_runner_has_its_code(kind, message, code):
    with pytest.raises(EdgekitError) as raised:
        read_result(done({"format": 1, "error": {"kind": kind, "message": message}}, 3), "board")
    assert raised.value.code == code


def test_a_runner_that_was_killed_printed_nothing():
    with pytest.raises(EdgekitError) as raised:
        read_result(Completed(137, b"", b"Killed\n"), "board")
    assert raised.value.code == "EK607"
