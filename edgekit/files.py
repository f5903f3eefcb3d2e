"""Files that a user names: looked at before they are opened, so that no device, pipe or endless file is ever read."""

import os
import stat
from errno import ENOENT, ENOTDIR
from pathlib import Path

from edgekit.errors import EdgekitError

GIGABYTE = 1 << 30
KINDS = (
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a folder"),
)


def status(path: str | Path, what: str = "it") -> os.stat_result | None:
    """What lies at a path, links followed; None where nothing does.

    Raises:
        EdgekitError: EK102 for a path that cannot be looked at: a name that is too long, a folder without rights, a
            circle of links, a zero byte.
    """
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno in (ENOENT, ENOTDIR):
            return None
        raise _unreadable(path, what, error.strerror or str(error)) from error
    except ValueError as error:  # a zero byte, or characters that no file name can hold
        raise _unreadable(path, what, str(error)) from error


def is_folder(path: str | Path, what: str = "it") -> bool:
    """Path.is_dir, with EK102 instead of an OSError."""
    found = status(path, what)
    return found is not None and stat.S_ISDIR(found.st_mode)


def check_regular(path: str | Path, limit_bytes: int, what: str = "it") -> None:
    """That a regular file of at most `limit_bytes` is there.

    Args:
        what: the file's role in the user's words: "the labels".

    Raises:
        EdgekitError: EK102 where nothing is there, where it is a device, a pipe, a socket or a folder, or too large.
    """
    found = status(path, what)
    if found is None:
        raise _unreadable(path, what, os.strerror(ENOENT))
    _check(found, path, limit_bytes, what)


def read_regular(path: str | Path, limit_bytes: int, what: str = "it") -> bytes:
    """The bytes of a regular file of at most `limit_bytes`; EK102 as `check_regular`, or where reading fails."""
    check_regular(path, limit_bytes, what)
    try:
        # A pipe that took the file's place since then must not block, and must not be read.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            _check(os.fstat(descriptor), path, limit_bytes, what)
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise _unreadable(path, what, error.strerror or str(error)) from error
    if len(data) > limit_bytes:
        raise _unreadable(path, what, f"it is larger than {in_words(limit_bytes)}")
    return data


def _check(found: os.stat_result, path: str | Path, limit_bytes: int, what: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((word for holds, word in KINDS if holds(found.st_mode)), "something else")
        raise _unreadable(path, what, f"{kind} is there, not a regular file")
    if found.st_size > limit_bytes:
        raise _unreadable(path, what, f"it is larger than {in_words(limit_bytes)}")


def in_words(size_bytes: int) -> str:
    """A limit as a reader takes it: `16 MB`."""
    for unit, word in ((GIGABYTE, "GB"), (1 << 20, "MB"), (1 << 10, "kB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.3g} {word}"
    return f"{size_bytes} bytes"


def _unreadable(path: str | Path, what: str, reason: str) -> EdgekitError:
    return EdgekitError(
        "EK102",
        what=f"cannot read {what}: {reason}",
        where=os.fsdecode(path),
        fix="name a regular file or folder that this user can read",
    )
