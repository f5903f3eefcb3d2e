"""The `edgekit` command as a process: `edgekit` and `python -m edgekit`.

A run creates many objects and few cycles, and ends once: the frequent collections and the orderly teardown of torch's
modules are a tenth of the CPU time of a small export (benchmarks/export_budget.py), so both are left out.
"""

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

from edgekit.cli import main

ALLOCATIONS_PER_COLLECTION = 50_000
"""Python's own is 700. Importing torch alone makes a million objects that stay."""


def run() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    gc.set_threshold(ALLOCATIONS_PER_COLLECTION, 20, 20)
    code = main()
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
