"""Running a program of this host with bounds: time, output, and no shell."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from edgekit.devices.device import STDOUT_LIMIT_BYTES, Completed
from edgekit.errors import EdgekitError

STDERR_LIMIT_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16


class Expired(Exception):
    """The program did not end in time; it was killed with all it had started."""


def run_process(
    argv: Sequence[str],
    timeout_s: float,
    *,
    where: str,
    stdin: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    limit_bytes: int = STDOUT_LIMIT_BYTES,
) -> Completed:
    """Run `argv` to its end.

    Args:
        where: the device, for errors.
        stdin: a file to feed it; None: nothing.
        limit_bytes: EK608 when it prints more. Of stderr the last MiB is kept.

    Raises:
        Expired: after `timeout_s`.
        FileNotFoundError, PermissionError, OSError: it could not be started.
    """
    start_s = time.monotonic()
    with open(stdin or os.devnull, "rb") as feed:
        process = subprocess.Popen(
            list(argv),
            stdin=feed,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
    try:
        stdout, stderr = _read(process, start_s + timeout_s, limit_bytes, where)
        exit_code = process.wait(max(0.1, start_s + timeout_s - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise Expired from error
    finally:
        end(process)
    return Completed(exit_code, stdout, stderr, time.monotonic() - start_s)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and its group, if it is still there, and wait for it."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _read(process: "subprocess.Popen[bytes]", deadline_s: float, limit_bytes: int, where: str) -> tuple[bytes, bytes]:
    assert process.stdout is not None
    assert process.stderr is not None
    kept: dict[IO[bytes], bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for pipe in kept:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            left_s = deadline_s - time.monotonic()
            ready = selector.select(left_s) if left_s > 0 else []
            if not ready:
                raise Expired
            for key, _ in ready:
                pipe = next(p for p in kept if p.fileno() == key.fd)
                chunk = os.read(key.fd, CHUNK_BYTES)
                if not chunk:
                    selector.unregister(pipe)
                else:
                    kept[pipe] += chunk
            del kept[process.stderr][:-STDERR_LIMIT_BYTES]
            if len(kept[process.stdout]) > limit_bytes:
                raise EdgekitError(
                    "EK608",
                    what=f"more than {limit_bytes:,} bytes came back",
                    where=where,
                    fix="the device does not behave: see what it sends, or use another one",
                )
    return bytes(kept[process.stdout]), bytes(kept[process.stderr])
