"""Instruction counts: what the counter writes is read with care, and on the emulated core they repeat exactly."""

import json
import shutil

import pytest

from edgekit.bench import instructions
from edgekit.bench.instructions import CLASSES, RUNS, count_instructions, read_counts
from edgekit.devices.run_model import RunRequest, open_device
from edgekit.devices.toolchain import COMPILER
from edgekit.errors import EdgekitError

NO_EMULATOR = next((f"{t} is not installed" for t in (instructions.QEMU, COMPILER, "cc") if not shutil.which(t)), "")


def written(*totals):
    """The counter's lines at totals given for "simd" alone."""
    marks = [{"mark": i, **dict.fromkeys(CLASSES, 0), "simd": total} for i, total in enumerate(totals)]
    return "\n".join(json.dumps(mark) for mark in marks)


def test_the_count_is_the_median_of_equal_inferences():
    counts = read_counts(written(5, 1_000_005, 2_000_006, 3_000_006), "core")
    assert counts.instructions == 1_000_000
    assert counts.classes["simd"] == 1_000_000
    assert counts.spread == pytest.approx(1e-6)
    assert counts.share("simd") == 1.0


def test_inferences_that_are_not_equal_are_no_count():
    with pytest.raises(EdgekitError, match=r"EK611 .*equal inferences differ by 1.0e-03"):
        read_counts(written(0, 1_000_000, 2_001_000, 3_001_000), "core")


@pytest.mark.parametrize("text", ["", "{}", written(1, 2), "nonsense", '{"mark": 0}\n{"mark": 1}', "[1]\n[2]"])
def test_what_is_no_count_is_an_error(text):
    with pytest.raises(EdgekitError) as raised:
        read_counts(text, "core")
    assert raised.value.code == "EK611"


def test_an_emulator_with_another_interface_is_refused(monkeypatch):
    monkeypatch.setattr(instructions, "qemu_version", lambda: "10.0.2")
    with pytest.raises(EdgekitError, match=r"EK611 .*qemu 10\.0\.2 has another interface"):
        instructions.build_counter()


def test_a_real_cpu_counts_nothing(subject):
    request = RunRequest(subject.runtime, subject.file, subject.sha256, subject.inputs)
    with open_device("local") as device, pytest.raises(EdgekitError, match=r"EK106 .*emulated device only"):
        count_instructions(device, request)


@pytest.mark.skipif(bool(NO_EMULATOR), reason=NO_EMULATOR)
@pytest.mark.parametrize(("core", "has_dot_product"), [("cortex-a76", True), ("cortex-a72", False)])
def test_counts_repeat_and_show_what_the_core_can(subject, core, has_dot_product):
    request = RunRequest(subject.runtime, subject.file, subject.sha256, subject.inputs)
    with open_device(f"emulated:{core}") as device:
        found = [count_instructions(device, request)[1] for _ in range(2)]
    assert RUNS > 2
    assert found[0].instructions == pytest.approx(found[1].instructions, rel=1e-5)
    assert sum(found[0].classes.values()) == found[0].instructions
    assert (found[0].classes["dot_product"] > 0) is has_dot_product
