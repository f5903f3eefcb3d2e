"""What one run of edgekit costs as its own process."""

import json
import subprocess
import sys

LAUNCHER = """
import json, resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]), file=sys.stderr)
"""
"""Starts the run: a process inherits the peak memory of the one that started it, and a benchmark's own is large."""


def timed(arguments: list[str], accepted: tuple[int, ...] = (0,)) -> tuple[float, float, str]:
    """(user + system seconds, peak MiB, stdout) of `edgekit arguments`.

    Args:
        accepted: exit codes that are no failure here; any other one ends the benchmark.
    """
    run = [sys.executable, "-m", "edgekit", *arguments]
    done = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, *run], capture_output=True, text=True, check=False)
    *messages, report = done.stderr.splitlines()
    code, cpu_s, peak_mb = json.loads(report)
    if code not in accepted:
        raise SystemExit(f"edgekit {' '.join(arguments)} ended with {code}: {' '.join(messages)} {done.stdout}")
    return cpu_s, peak_mb, done.stdout
