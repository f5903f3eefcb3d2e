"""Programs of the host run with bounds, and nothing of them stays."""

import sys
import time
from pathlib import Path

import pytest

from edgekit.devices.process import STDERR_LIMIT_BYTES, Expired, run_process
from edgekit.errors import EdgekitError

PYTHON = [sys.executable, "-c"]


def test_output_and_exit_code_come_back():
    code = "import sys; sys.stdout.write('a'); sys.stderr.write('x\\ny \\n'); sys.exit(3)"
    done = run_process([*PYTHON, code], 20, where="d")
    assert (done.exit_code, done.stdout, done.message) == (3, b"a", "y")


def test_a_file_is_fed(tmp_path):
    (tmp_path / "in").write_bytes(b"\0\xff" * 100_000)
    done = run_process(["cat"], 20, where="d", stdin=tmp_path / "in")
    assert done.stdout == (tmp_path / "in").read_bytes()


def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path):
    started = time.monotonic()
    with pytest.raises(Expired):
        run_process(["/bin/sh", "-c", f"sleep 100 & echo $! > {tmp_path}/pid; wait"], 0.5, where="d")
    assert time.monotonic() - started < 20
    command_line = Path(f"/proc/{int((tmp_path / 'pid').read_text())}/cmdline")
    for _ in range(100):
        if not command_line.exists() or not command_line.read_bytes():  # gone, or waiting for its parent to notice
            return
        time.sleep(0.05)
    pytest.fail("the grandchild is still there")


def test_too_much_output_is_refused():
    with pytest.raises(EdgekitError) as raised:
        run_process(["cat", "/dev/zero"], 60, where="the board", limit_bytes=100_000)
    assert (raised.value.code, raised.value.where) == ("EK608", "the board")


def test_of_stderr_the_end_is_kept():
    script = f"head -c {3 * STDERR_LIMIT_BYTES} /dev/zero >&2; echo last >&2"
    done = run_process(["/bin/sh", "-c", script], 60, where="d")
    assert len(done.stderr) <= STDERR_LIMIT_BYTES
    assert done.stderr.endswith(b"last\n")
