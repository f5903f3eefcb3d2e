"""The `edgekit` command as a process: `edgekit` and `python -m edgekit`.

A run creates many objects and few cycles, and ends once: the frequent collections and the orderly teardown of torch's
modules are a tenth of the CPU time of a small export (benchmarks/export_budget.py), so both are left out.
"""

import gc
import os
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

ALLOCATIONS_PER_COLLECTION = 50_000
"""Python's own is 700. Importing torch alone makes a million objects that stay."""


def run() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # a shell's job in the background
    if not ignored:
        signal.signal(signal.SIGINT, interrupted_at_start)
    open_standard_streams()
    gc.set_threshold(ALLOCATIONS_PER_COLLECTION, 20, 20)
    from edgekit.cli import main  # here, so that an interrupt while it loads is told like any other

    if not ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # main has told it
            stream.flush()
    os._exit(code)


def interrupted_at_start(number: int, frame: FrameType | None) -> NoReturn:
    """End at once: nothing was begun, and an exception inside an import may be taken for a missing module."""
    os.write(2, b"edgekit: interrupted\n")
    os._exit(128 + number)


def open_standard_streams() -> None:
    """Stdout and stderr always are there, and take every name.

    A stream that was closed (`>&-`) goes nowhere. Its number must not go to the next file that is opened: libraries
    that print would write into that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be text


if __name__ == "__main__":
    run()
