"""What one run of edgekit costs as its own process."""

import os
import subprocess
import sys


def timed(arguments: list[str], accepted: tuple[int, ...] = (0,)) -> tuple[float, float, str]:
    """(user + system seconds, peak MiB, stdout) of `edgekit arguments`.

    Args:
        accepted: exit codes that are no failure here; any other one ends the benchmark.
    """
    process = subprocess.Popen([sys.executable, "-m", "edgekit", *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in accepted:
        raise SystemExit(f"edgekit {' '.join(arguments)} ended with {process.returncode}: {output}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output
