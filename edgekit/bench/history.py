"""The history file: one JSON document a line, only ever appended to, whole lines or nothing."""

import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError

Document = dict[str, Any]


def append(path: Path, documents: Iterable[Document]) -> None:
    """Append documents; either all of them are in the file then, or it is what it was: EK702.

    Processes take turns (flock). A line that a killed process left unfinished is ended first, so that what follows it
    is still read.
    """
    data = "".join(json.dumps(document, sort_keys=True) + "\n" for document in documents).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            _append(file, data)
        finally:
            os.close(file)
    except OSError as error:
        raise EdgekitError(
            "EK702",
            what=f"the results cannot be kept: {error.strerror}",
            where=str(path),
            fix="free some space, or choose another --history FILE",
        ) from error


def _append(file: int, data: bytes) -> None:
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        data = b"\n" + data
    try:
        written = 0
        while written < len(data):
            written += os.write(file, data[written:])
        os.fsync(file)
    except OSError:
        os.ftruncate(file, size)
        raise


def read(path: Path) -> list[Document]:
    """All documents, oldest first; lines that are no JSON object are passed over. EK102 without the file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise EdgekitError(
            "EK102", what=f"no results there: {reason}", where=str(path), fix="name a file that edgekit bench wrote"
        ) from error
    return [document for document in map(_parse, lines) if document is not None]


def _parse(line: str) -> Document | None:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
