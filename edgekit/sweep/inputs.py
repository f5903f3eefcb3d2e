"""Files and folders of a sweep by the hash of their content: sent to a worker once, and kept in its cache."""

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.environment import cache_dir
from edgekit.errors import EdgekitError
from edgekit.sweep.plan import Cell

NAMED = ("model", "weights", "calibration")
"""Fields of a recipe that may be paths."""

FIXED = (1980, 1, 1, 0, 0, 0)
"""The date of every entry of an archive: the content alone decides its hash."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A file, or a folder as an archive.

    Args:
        name: of the file or folder; readers go by its suffix.
    """

    name: str
    is_folder: bool
    sha256: str
    data: bytes = field(repr=False)


def pack(cells: Iterable[Cell]) -> dict[str, Packed]:
    """Path in the plan -> what lies there, for every path that cells name.

    Raises:
        EdgekitError: EK106 for a Python file: a worker may not have what it imports.
    """
    return {path: _packed(Path(path)) for path in sorted({path for cell in cells for path in _paths(cell)})}


def _paths(cell: Cell) -> Iterator[str]:
    choices = cell.choices
    for value in (*(choices.get(name) for name in NAMED), cell.eval):
        if isinstance(value, str) and value.partition(":")[0].endswith(".py"):
            raise EdgekitError(
                "EK106",
                what="a Python file may import what a worker does not have",
                where=value,
                fix="compress or export it to a folder or an .onnx file first, and name that",
            )
        if isinstance(value, str) and os.path.exists(value):
            yield value


def _packed(path: Path) -> Packed:
    if path.is_dir():
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(each for each in path.rglob("*") if each.is_file()):
                archive.writestr(zipfile.ZipInfo(file.relative_to(path).as_posix(), FIXED), file.read_bytes())
        data = buffer.getvalue()
    else:
        data = path.read_bytes()
    return Packed(path.name, path.is_dir(), hashlib.sha256(data).hexdigest(), data)


def unpack(packed: Mapping[str, Packed]) -> dict[str, str]:
    """Path in the plan -> where its content is on this machine, written where it is not there yet."""
    return {path: str(_unpacked(each)) for path, each in packed.items()}


def _unpacked(packed: Packed) -> Path:
    place = cache_dir() / "sweep" / packed.sha256
    final = place / packed.name
    if final.exists():
        return final
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".part-", dir=place.parent))
    if packed.is_folder:
        with zipfile.ZipFile(io.BytesIO(packed.data)) as archive:
            archive.extractall(work / packed.name)
    else:
        (work / packed.name).write_bytes(packed.data)
    try:
        work.rename(place)
    except OSError:  # another worker on this machine was first
        if not final.exists():
            raise
    return final
