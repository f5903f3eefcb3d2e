"""Two folders change their names in one step of the kernel, where it and the file system can."""

import ctypes
import os
from errno import EINVAL, ENOENT, ENOSYS, ENOTSUP, EPERM, EXDEV
from pathlib import Path

WORKING_DIRECTORY = -100  # AT_FDCWD of fcntl.h
EXCHANGE = 2  # RENAME_EXCHANGE of linux/fs.h
IMPOSSIBLE = frozenset((EINVAL, ENOENT, ENOSYS, ENOTSUP, EPERM, EXDEV))
"""ENOENT: one of the two was taken away. EPERM and EXDEV: a sandbox, or a layer below an overlay."""


def exchange(first: Path, second: Path) -> bool:
    """Exchange two paths; False where that cannot be, and then both are as they were.

    Raises:
        OSError: for any other reason, such as a folder without rights.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:  # macOS, and glibc before 2.28
        return False
    paths = (os.fsencode(first), os.fsencode(second))
    if call(WORKING_DIRECTORY, paths[0], WORKING_DIRECTORY, paths[1], EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in IMPOSSIBLE:
        return False
    raise OSError(number, os.strerror(number), str(second))
