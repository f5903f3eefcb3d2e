"""Work of native code on a file of unknown origin, tried in a process of its own first: it may end the process."""

import faulthandler
import os
import signal
import time
import warnings
from collections.abc import Callable

LIMIT_S = 60
POLL_S = 0.005


def ending(work: Callable[[], object]) -> str:
    """What ends a copy of this process that does the work, in words; empty where it comes back.

    An exception is no end: this process raises it again when it does the work itself. Where processes cannot be copied
    nothing is tried.
    """
    if not hasattr(os, "fork"):
        return ""
    with warnings.catch_warnings():  # Python 3.12 warns of threads: the copy runs native code that starts its own
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _do(work)
    deadline_s = time.monotonic() + LIMIT_S
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else ""
        if time.monotonic() > deadline_s:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"no end after {LIMIT_S} s"
        time.sleep(POLL_S)


def _do(work: Callable[[], object]) -> None:
    """The copy: it says nothing, and runs nothing of this process at its end."""
    try:
        faulthandler.disable()  # it would print the stack of a crash to where stderr was when it was enabled
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        work()
    finally:
        os._exit(0)
