"""Estimated cycles: how blocks become an estimate, and that it repeats on the emulated core."""

import os
import shutil

import pytest

from edgekit.bench import blocks, cycles
from edgekit.bench.blocks import Block, Counted, Ran
from edgekit.bench.boards import BOARDS
from edgekit.bench.cycles import estimate_cycles, estimate_parts, join
from edgekit.bench.prices import find_llvm
from edgekit.devices.run_model import RunRequest, open_device
from edgekit.devices.toolchain import COMPILER
from edgekit.errors import EdgekitError

ADD, JUMP = 0x91000400, 0x54FFFFE1
BOARD = BOARDS["pi4"]
LINE_CYCLES = 64 / BOARD.memory_bytes_s * BOARD.clock_hz


def missing():
    tools = [tool for tool in (blocks.QEMU, COMPILER, "cc") if not shutil.which(tool)]
    try:
        find_llvm()
    except EdgekitError:
        tools.append("llvm-mca 19 or newer")
    return ", ".join(tools)


MISSING = missing()
on_the_emulated_core = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}")


@pytest.fixture
def a_cycle_each(monkeypatch):
    """An instruction takes one cycle, whatever it is."""
    monkeypatch.setattr(cycles, "price", lambda _, found: {words: float(len(words)) for words in found})


def counted(found):
    return Counted(dict(enumerate(found)), ())


def test_blocks_that_follow_each_other_are_one():
    """The first two are a loop cut in two by the end of a page; the third is jumped over now and then."""
    found = counted(
        [Block(0xFF8, (ADD, ADD)), Block(0x1000, (ADD, JUMP)), Block(0x1008, (ADD,)), Block(0x100C, (JUMP,))]
    )
    spans = [{0: Ran(8), 1: Ran(8), 2: Ran(3), 3: Ran(4)}]
    first, words = join(found, spans)
    assert first == {0: 0, 1: 0, 2: 2, 3: 3}
    assert words == {0: (ADD, ADD, ADD, JUMP), 2: (ADD,), 3: (JUMP,)}


def test_memory_is_waited_for_where_a_block_computes_less_than_it_takes(a_cycle_each):
    found = counted([Block(0, (ADD, JUMP)), Block(64, (ADD, JUMP))])
    busy, waiting = Ran(1000, (900, 10)), Ran(10, (10, 10))
    [estimate] = estimate_parts(found, [{0: busy, 1: waiting}], [[{0: busy, 1: waiting}]], BOARD, BOARD.clock_hz)
    assert estimate.instructions == estimate.core_cycles == 2020
    assert estimate.memory_bytes == 20 * 64
    assert estimate.cycles == pytest.approx(2000 + 10 * LINE_CYCLES)


def test_parts_add_up_to_the_whole(a_cycle_each):
    found = counted([Block(0, (ADD, JUMP)), Block(64, (ADD, JUMP))])
    one, other = {0: Ran(900, (0, 100)), 1: Ran(4, (9, 9))}, {0: Ran(100, (0, 400)), 1: Ran(6, (1, 1))}
    first, second, whole = estimate_parts(found, [one, other], [[one], [other], [one, other]], BOARD, BOARD.clock_hz)
    assert first.cycles + second.cycles == pytest.approx(whole.cycles)
    assert whole.cycles == pytest.approx(500 * LINE_CYCLES + 10 * LINE_CYCLES)


def test_what_is_rare_costs_as_much_as_the_rest(a_cycle_each):
    found = counted([Block(0, (ADD, JUMP)), Block(64, (ADD,))])
    spans = [{0: Ran(10**6, (0,)), 1: Ran(1, (0,))}]
    [estimate] = estimate_parts(found, spans, [spans], BOARD, BOARD.clock_hz)
    assert estimate.cycles == pytest.approx(2 * 10**6 + 1)


def test_a_real_cpu_is_not_estimated(subject):
    request = RunRequest(subject.runtime, subject.file, subject.sha256, subject.inputs)
    with (
        open_device("local") as device,
        pytest.raises(EdgekitError, match=r"EK106 cycles are estimated on an emulated"),
    ):
        estimate_cycles(device, request)


@on_the_emulated_core
def test_estimates_repeat_and_differ_between_cores(subject):
    request = RunRequest(subject.runtime, subject.file, subject.sha256, subject.inputs)
    found = {}
    for name in ("pi3", "pi5"):
        with open_device(f"emulated:{name}") as device:
            found[name] = [estimate_cycles(device, request)[1] for _ in range(2)]
        one, other = (estimated.whole for estimated in found[name])
        assert one.cycles == pytest.approx(other.cycles, rel=1e-4)
        size = subject.file.stat().st_size
        if BOARDS[name].caches[-1].size_bytes < size:
            assert 0 < one.memory_bytes < 4 * size
        else:  # the last cache holds all weights from one inference to the next
            assert one.memory_bytes == 0
    small, large = (found[name][0].whole for name in ("pi3", "pi5"))
    assert small.cycles / small.instructions > 1.3 * large.cycles / large.instructions
    assert small.cycles > 2 * large.cycles
    assert small.memory_bytes > 0.9 * size


@on_the_emulated_core
@pytest.mark.slow
def test_five_processes_agree(subject):
    request = RunRequest(subject.runtime, subject.file, subject.sha256, subject.inputs)
    totals = []
    for _ in range(5):
        with open_device("emulated:pi4") as device:
            totals.append(estimate_cycles(device, request)[1].whole.cycles)
        os.environ["EDGEKIT_ANOTHER_ENVIRONMENT"] = "x" * len(totals) * 100
    del os.environ["EDGEKIT_ANOTHER_ENVIRONMENT"]
    assert max(totals) / min(totals) - 1 <= 1e-4
