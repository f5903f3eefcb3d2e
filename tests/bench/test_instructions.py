"""Instruction counts: what the counter writes is read with care, and on the emulated core they repeat exactly."""

import shutil

import pytest

from edgekit.bench import blocks
from edgekit.bench.blocks import RUNS, read_counted
from edgekit.bench.instructions import by_class, count_instructions, median_inference
from edgekit.devices.run_model import RunRequest, open_device
from edgekit.devices.toolchain import COMPILER
from edgekit.errors import EdgekitError

NO_EMULATOR = next((f"{t} is not installed" for t in (blocks.QEMU, COMPILER, "cc") if not shutil.which(t)), "")
FMLA, SDOT, LOAD, JUMP, ADD = "4e20cc00", "4e809400", "f9400000", "54ffffe1", "91000400"


def written(*runs):
    """The counter's lines: a block with one instruction of each class, and how often it ran until each mark."""
    marks = [f"M {i} 0:{count}" if count else f"M {i}" for i, count in enumerate(runs)]
    return "\n".join([f"B 0 4000 {FMLA} {SDOT} {LOAD} {ADD} {JUMP}", *marks, ""])


def test_the_count_is_the_median_of_equal_inferences():
    counted = read_counted(written(5, 1_000_000, 1_000_001, 1_000_000), "core")
    spans, spread = median_inference(counted, "core")
    assert counted.instructions(spans) == 5_000_000
    assert by_class(counted, spans) == dict.fromkeys(
        ("simd", "dot_product", "load_store", "branch", "other"), 1_000_000
    )
    assert spread == pytest.approx(1e-6)


def test_inferences_that_are_not_equal_are_no_count():
    counted = read_counted(written(0, 1_000_000, 1_001_000, 1_000_000), "core")
    with pytest.raises(EdgekitError, match=r"EK611 .*equal inferences differ by 1.0e-03"):
        median_inference(counted, "core")


def test_what_the_guest_left_unfinished_is_passed_over():
    assert read_counted(written(1, 2, 2, 2) + "B 1", "core").blocks.keys() == {0}


def test_reads_of_the_clock_split_an_inference():
    text = f"B 0 4000 {ADD}\nT 0:9\nM 0 0:1\nT 0:2:5:1\nM 1 0:3:4:0\nM 2 0:5:9:1\nM 3 0:5:9:1\n"
    [first, *_] = read_counted(text, "core").inferences
    assert [span[0].runs for span in first] == [2, 3]
    assert [span[0].misses for span in first] == [(5, 1), (4, 0)]


@pytest.mark.parametrize(
    "text", ["", "{}\n", written(1, 2), "nonsense\n", "M\nM\nM\nM\n", "M 0 0:1\nM x\n", written(1, 2, 0, 2)]
)
def test_what_is_no_count_is_an_error(text):
    with pytest.raises(EdgekitError) as raised:
        read_counted(text, "core")
    assert raised.value.code == "EK611"


def test_an_emulator_with_another_interface_is_refused(monkeypatch):
    monkeypatch.setattr(blocks, "qemu_version", lambda: "10.0.2")
    with pytest.raises(EdgekitError, match=r"EK611 .*qemu 10\.0\.2 has another interface"):
        blocks.build_counter()


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
