"""One edgekit process per device: two on one board would disturb each other's times and files."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from edgekit.environment import cache_dir
from edgekit.errors import EdgekitError


@contextmanager
def locked(uri: str, name: str) -> Iterator[None]:
    """Hold the device at `uri`; EK604 with the other's process id when it is taken.

    The lock is the operating system's, so it ends with the process, however that ends.
    """
    folder = cache_dir() / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / f"{hashlib.sha256(uri.encode()).hexdigest()[:16]}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EdgekitError(
            "EK702",
            what=f"the cache cannot be written: {error.strerror}",
            where=str(folder),
            fix="set EDGEKIT_CACHE to a folder that can",
        ) from error
    try:
        _take(file, name)
        yield
    finally:
        os.close(file)


def _take(file: int, name: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(file, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise EdgekitError(
            "EK604",
            what=f"another edgekit is using it (process {holder})",
            where=name,
            fix="wait until that one is done, or end it",
        ) from error
    os.ftruncate(file, 0)
    os.pwrite(file, str(os.getpid()).encode(), 0)
