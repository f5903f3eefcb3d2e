"""Prices of blocks: what llvm-mca says is read as it is meant, and kept."""

import sqlite3

import pytest

from edgekit.bench import prices
from edgekit.bench.boards import BOARDS, PIPELINES, USUAL
from edgekit.bench.prices import Pipeline, find_llvm, is_loop, price
from edgekit.devices.cores import CORES, PROFILES
from edgekit.errors import EdgekitError

IN_ORDER, OUT_OF_ORDER = PIPELINES["cortex-a53"], PIPELINES["cortex-a76"]
FMLA = 0x4E20CC00  # fmla v0.4s, v0.4s, v0.4s: each waits for the one before
FMLAS = tuple(0x4E3FCFC0 | register for register in range(8))  # fmla v0..v7.4s, v30.4s, v31.4s: none waits
LOAD, LOAD_AND_MOVE = 0xFD400043, 0xFC408443  # ldr d3, [x2]; ldr d3, [x2], #8
BACK_TO_ITSELF = 0x54FFFFE1  # b.ne, one instruction back
UNKNOWN = 0x00000000  # udf


@pytest.fixture(autouse=True)
def llvm(tmp_path, monkeypatch):
    """A cache of its own; the real programs, or none."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    find_llvm.cache_clear()
    yield
    find_llvm.cache_clear()


def needs_llvm():
    try:
        find_llvm()
    except EdgekitError as error:
        pytest.skip(str(error))


def test_a_chain_of_results_takes_its_latency_only_where_it_is_a_loop():
    needs_llvm()
    loop, straight = (FMLA, BACK_TO_ITSELF), (FMLA, 0xD65F03C0)
    found = price(OUT_OF_ORDER, [loop, straight])
    assert found[loop] >= 2
    assert found[straight] <= 1
    found = price(IN_ORDER, [loop, straight])
    assert found[straight] >= found[loop] - 1 >= 2


def test_a_core_in_order_does_not_wait_for_an_address():
    needs_llvm()
    plain, moving = ((*FMLAS, load, *FMLAS) for load in (LOAD, LOAD_AND_MOVE))
    found = price(IN_ORDER, [plain, moving])
    assert found[plain] == found[moving]
    assert 16 <= found[plain] <= 20  # sixteen multiply-accumulates of 128 bits, one a cycle


def test_the_wide_core_is_twice_as_wide():
    needs_llvm()
    assert price(OUT_OF_ORDER, [FMLAS])[FMLAS] == pytest.approx(4, abs=0.5)
    assert price(PIPELINES["cortex-a72"], [FMLAS])[FMLAS] == pytest.approx(8, abs=0.5)


def test_what_llvm_does_not_know_is_passed_over():
    needs_llvm()
    found = price(OUT_OF_ORDER, [(UNKNOWN,), (*FMLAS, UNKNOWN)])
    assert found[(UNKNOWN,)] == 1
    assert found[(*FMLAS, UNKNOWN)] == pytest.approx(4, abs=0.5)


def test_a_block_is_priced_once(monkeypatch):
    needs_llvm()
    found = price(OUT_OF_ORDER, [FMLAS])
    monkeypatch.setattr(prices, "_ask", lambda *_: pytest.fail("priced again"))
    assert price(OUT_OF_ORDER, [FMLAS, FMLAS]) == found


def test_prices_that_cannot_be_kept_are_told(tmp_path):
    needs_llvm()
    (tmp_path / "prices.sqlite").write_text("this is no database, and long enough to be looked at as one" * 20)
    with pytest.raises(EdgekitError, match=r"EK702 .*prices cannot be kept: file is not a database"):
        price(OUT_OF_ORDER, [FMLAS])


def test_prices_of_another_core_are_not_taken(tmp_path):
    needs_llvm()
    price(OUT_OF_ORDER, [FMLAS])
    price(Pipeline("cortex-a57", in_order=False), [FMLAS])
    with sqlite3.connect(tmp_path / "prices.sqlite") as kept:
        assert [cycles for (cycles,) in kept.execute("SELECT cycles FROM prices ORDER BY cycles")] == [4, 8]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((FMLA, BACK_TO_ITSELF), True),
        ((FMLA, FMLA, BACK_TO_ITSELF), False),
        ((FMLA, 0xB5FFFFE0), True),  # cbnz x0
        ((FMLA, 0x37FFFFE0), True),  # tbnz w0, #31
        ((FMLA, 0x17FFFFFF), False),  # b: nothing would end it
        ((FMLA, 0xD65F03C0), False),  # ret
    ],
)
def test_loops_are_known_by_their_jump(words, expected):
    assert is_loop(words) is expected


def test_without_llvm_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EdgekitError, match=r"EK609 llvm-mca is not installed .*apt-get install llvm-19"):
        find_llvm()


def test_an_old_llvm_is_not_taken(monkeypatch, tmp_path):
    for name in ("llvm-mc", "llvm-mca"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'Debian LLVM version 14.0.6'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EdgekitError, match=r"EK609 LLVM version 14\.0\.6 is too old .*apt-get install llvm-19"):
        find_llvm()


def test_every_core_that_is_emulated_has_a_price_and_a_board():
    assert PIPELINES.keys() == USUAL.keys() == CORES.keys()
    assert {name: board.core for name, board in BOARDS.items()} == PROFILES
