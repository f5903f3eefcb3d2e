"""Archives of arrays (.npz), written so that their bytes repeat, and read without believing what they say."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.files import in_words
from edgekit.target import Outputs

FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can hold: the archive's bytes depend on its content alone
LARGEST_ARRAYS = 1 << 31  # bytes, of all arrays of one archive
MOST_ARRAYS = 100_000


def archive(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """An .npz whose bytes depend on the arrays alone; numpy's own writer stores the time."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, array in sorted(arrays.items()):
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
            zipped.writestr(zipfile.ZipInfo(f"{name}.npy", FIXED_TIME), data.getvalue(), zipfile.ZIP_DEFLATED, 6)
    return stream.getvalue()


def read_archive(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz by name, all of numbers or truth values.

    Raises:
        ValueError: no such archive; in words.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as zipped:
            entries = zipped.infolist()
            size = sum(entry.file_size for entry in entries)
            if size > LARGEST_ARRAYS or len(entries) > MOST_ARRAYS:
                raise ValueError(f"it unpacks to {len(entries)} arrays of {in_words(size)}")
            return {entry.filename.removesuffix(".npy"): _array(zipped, entry) for entry in entries}
    except ValueError:
        raise
    except Exception as error:  # zipfile, zlib and lzma each have their own
        raise ValueError(f"not an archive of arrays: {error}") from error


def _array(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    with zipped.open(entry) as packed:
        data = packed.read(entry.file_size + 1)
    if len(data) != entry.file_size:
        raise ValueError(f"{entry.filename} is not as long as the archive says")
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read_header(stream)
    if dtype.kind not in "fiub" or prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise ValueError(f"{entry.filename} is no array of numbers, or not as large as it says")
    flat = np.frombuffer(data, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C").copy()


def keyed(prefix: str, outputs: Outputs) -> dict[str, NDArray[Any]]:
    """Outputs as entries of an archive: "outputs.boxes"."""
    return {f"{prefix}.{name}": values for name, values in outputs.items()}


def unkeyed(prefix: str, entries: Mapping[str, NDArray[Any]], names: Iterable[str]) -> Outputs:
    """Outputs from the entries of an archive, in the order of `names`.

    Raises:
        ValueError: one of them is missing.
    """
    names = list(names)
    missing = [name for name in names if f"{prefix}.{name}" not in entries]
    if missing:
        raise ValueError(f"it has no {prefix}.{missing[0]}")
    return {name: entries[f"{prefix}.{name}"] for name in names}
