"""The `edgekit` command as a process: `edgekit` and `python -m edgekit`.

A run creates many objects and few cycles, and ends once: the frequent collections and the orderly teardown of torch's
modules are a tenth of the CPU time of a small export (benchmarks/export_budget.py), so both are left out.
"""

import gc
import os
import signal
import sys
import time
from contextlib import suppress
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

ALLOCATIONS_PER_COLLECTION = 50_000
"""Python's own is 700. Importing torch alone makes a million objects that stay."""

RETRY_S = 0.02
PATIENCE_S = 3.0
"""How long an interrupt waits for the end of an import; torch's takes two seconds on a slow machine."""


def run() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # a shell's job in the background
    if not ignored:
        signal.signal(signal.SIGINT, interrupted_at_start)
    open_standard_streams()
    gc.set_threshold(ALLOCATIONS_PER_COLLECTION, 20, 20)
    from edgekit.cli import main  # here, so that an interrupt while it loads is told like any other

    if not ignored:
        interrupt = Interrupt()
        signal.signal(signal.SIGINT, interrupt.asked)
        signal.signal(signal.SIGALRM, interrupt.again)
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # main has told it
            stream.flush()
    os._exit(code)


def interrupted_at_start(number: int, frame: FrameType | None) -> NoReturn:
    """End at once: nothing was begun, and an exception inside an import may be taken for a missing module."""
    os.write(2, b"edgekit: interrupted\n")
    os._exit(128 + number)


class Interrupt:
    """Ctrl-C as a KeyboardInterrupt, raised where somebody hears it.

    Inside an import, packages take it for a module that is missing; inside `__del__` Python prints it and goes on.
    There it waits a moment and looks again, for PATIENCE_S at most; who presses Ctrl-C again does not wait.
    """

    def __init__(self) -> None:
        self._first_s: float | None = None

    def asked(self, number: int, frame: FrameType | None) -> None:
        """Handles SIGINT."""
        if self._first_s is not None:
            self._raise()
        self._first_s = time.monotonic()
        self.again(number, frame)

    def again(self, _: int, frame: FrameType | None) -> None:
        """Handles SIGALRM, which is set while the interrupt waits."""
        if self._first_s is None:
            return
        if is_lost(frame) and time.monotonic() - self._first_s < PATIENCE_S:
            signal.setitimer(signal.ITIMER_REAL, RETRY_S)
        else:
            self._raise()

    def _raise(self) -> NoReturn:
        self._first_s = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise KeyboardInterrupt


def is_lost(frame: FrameType | None) -> bool:
    """Whether an exception raised in this frame would be swallowed on its way up."""
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


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
