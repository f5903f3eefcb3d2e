"""Folders and zip archives of images, streamed in a fixed order."""

import hashlib
import io
import lzma
import os
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from edgekit.errors import EdgekitError
from edgekit.files import GIGABYTE, check_regular, in_words, is_folder, read_regular, status
from edgekit.images.preprocess import load_image
from edgekit.registry import Preprocess
from edgekit.target import FloatArray

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".gif", ".tif", ".tiff"))
DECODERS = 4  # threads; Pillow releases the GIL while it decodes and resizes
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, struct.error, Image.DecompressionBombError),
    *(zipfile.BadZipFile, lzma.LZMAError, zlib.error, NotImplementedError),
)
"""What Pillow, zipfile and what they unpack with raise for a broken file."""
LARGEST_IMAGE = 1 << 29  # bytes, of one image file
LARGEST_ARCHIVE = 4096 * GIGABYTE  # of which images are read one by one

Reader = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """Images of a folder or a .zip, sorted by path. Sub-folders are class names.

    Args:
        location: the folder or archive.
        names: paths inside it, with "/" between parts.
        classes: names of all class folders, sorted; class index = place in this tuple. It does not shrink when fewer
            images are selected. Empty where images do not all lie in folders of one level.
    """

    location: Path
    names: tuple[str, ...] = field(repr=False)
    classes: tuple[str, ...] = field(repr=False, default=())

    @classmethod
    def open(cls, location: str | Path) -> "ImageFolder":
        """List the images; files with other suffixes and hidden files are left out.

        Errors:
            EK102 the location does not exist or is not a folder or readable .zip; EK108 it holds no image.
        """
        location = Path(location)
        names = tuple(sorted(name for name in _list_files(location) if _is_image(name)))
        if not names:
            raise EdgekitError(
                "EK108",
                what="no image found",
                where=str(location),
                fix=f"put images there ({', '.join(sorted(IMAGE_SUFFIXES))}), or name another folder",
            )
        parents = {PurePosixPath(name).parent for name in names}
        one_level = len({len(parent.parts) for parent in parents}) == 1 and PurePosixPath(".") not in parents
        return cls(location, names, tuple(sorted(map(str, parents))) if one_level else ())

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, chosen: slice) -> "ImageFolder":
        """A part of the images, in order: `folder[1::2]` is the odd-indexed half."""
        return replace(self, names=self.names[chosen])

    def select(self, count: int) -> "ImageFolder":
        """`count` images spread evenly over the sorted names; all of them where there are fewer."""
        total = len(self.names)
        if count >= total:
            return self
        return replace(self, names=tuple(self.names[i * total // count] for i in range(count)))

    def labels(self) -> tuple[int, ...]:
        """Class index of every image, from its folder. EK109 where images do not lie in class folders."""
        if len(self.classes) < 2:
            raise EdgekitError(
                "EK109",
                what="the images do not lie in class folders",
                where=str(self.location),
                fix="one folder per class, or sorted files with --labels FILE (line i is class i)",
            )
        index = {name: i for i, name in enumerate(self.classes)}
        return tuple(index[str(PurePosixPath(name).parent)] for name in self.names)

    def batches(self, preprocess: Preprocess, size: int) -> Iterator[FloatArray]:
        """Yield f32[n, C, H, W] in the order of `names`, n = `size` except for the last batch.

        At most one batch and a few decoded images are in memory.

        Errors:
            EK108 an image is corrupt; the error names it.
        """
        images = self.images(preprocess)
        while batch := list(islice(images, size)):
            yield np.stack(batch)

    def images(self, preprocess: Preprocess) -> Iterator[FloatArray]:
        """Yield f32[C, H, W] in the order of `names`; decoded ahead by a few threads."""
        workers = min(DECODERS, os.cpu_count() or 1)
        with self.reader() as read, ThreadPoolExecutor(workers) as pool:
            ahead: deque[Future[FloatArray]] = deque()
            try:
                for name in self.names:
                    ahead.append(pool.submit(self._load, read, name, preprocess))
                    if len(ahead) > 2 * workers:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for waiting in ahead:
                    waiting.cancel()

    def sha256(self) -> str:
        """SHA-256 over the names and bytes of the images, in order; does not depend on where the folder lies."""
        digest = hashlib.sha256()
        with self.reader() as read:
            for name in self.names:
                data = self._read(read, name)
                digest.update(f"{name}\0{len(data)}\0".encode(errors="surrogateescape"))  # the name's own bytes
                digest.update(data)
        return digest.hexdigest()

    def hashes(self) -> list[str]:
        """SHA-256 of the bytes of each image, in order."""
        with self.reader() as read:
            return [hashlib.sha256(self._read(read, name)).hexdigest() for name in self.names]

    def _load(self, read: Reader, name: str, preprocess: Preprocess) -> FloatArray:
        data = self._read(read, name)
        try:
            return load_image(io.BytesIO(data), preprocess)
        except UNREADABLE as error:
            raise self._corrupt(name, str(error)) from error

    def _read(self, read: Reader, name: str) -> bytes:
        try:
            return read(name)
        except EdgekitError as error:
            raise self._corrupt(name, error.what.removeprefix("cannot read the image: ")) from error
        except (*UNREADABLE, RuntimeError) as error:  # RuntimeError: an encrypted zip entry
            raise self._corrupt(name, str(error)) from error

    def _corrupt(self, name: str, reason: str) -> EdgekitError:
        reason = "not an image" if "cannot identify image" in reason else reason
        return EdgekitError(
            "EK108",
            what=f"cannot read image {name}: {reason}",
            where=str(self.location),
            fix="replace the file, or take it out of the folder",
        )

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """What gives the bytes of an image by its name, from any thread; an archive is open for as long."""
        if self.location.is_dir():
            yield lambda name: read_regular(self.location / name, LARGEST_IMAGE, "the image")
        else:
            with zipfile.ZipFile(self.location) as archive:
                yield lambda name: _unpacked(archive, name)


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    """One file of an archive; no more of it than an image can have, whatever the archive says of its size."""
    with archive.open(name) as packed:
        data = packed.read(LARGEST_IMAGE + 1)
    if len(data) > LARGEST_IMAGE:
        raise ValueError(f"it unpacks to more than {in_words(LARGEST_IMAGE)}")
    return data


def _list_files(location: Path) -> list[str]:
    found = status(location, "the images")
    if found is None:
        raise _no_images(location, "no such folder or archive")
    if is_folder(location, "the images"):
        try:
            return [path.relative_to(location).as_posix() for path in _walk(location) if path.is_file()]
        except OSError as error:
            raise _no_images(Path(error.filename or location), f"cannot read it: {error.strerror}") from error
    check_regular(location, LARGEST_ARCHIVE, "the images")
    try:
        with zipfile.ZipFile(location) as archive:
            return [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    except PermissionError as error:
        raise _no_images(location, f"cannot read it: {error.strerror}") from error
    except Exception as error:  # zipfile has no one kind for a damaged directory
        raise _no_images(location, "neither a folder nor a readable .zip archive") from error


def _walk(folder: Path) -> Iterator[Path]:
    """All that lies in a folder; OSError for one in it that cannot be read, unless it can hold no images."""

    def refuse(error: OSError) -> None:
        name = Path(error.filename or "").name
        if not name.startswith(".") and name != "lost+found":
            raise error

    for inner, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(inner, name) for name in names)


def _no_images(location: Path, what: str) -> EdgekitError:
    return EdgekitError("EK102", what=what, where=str(location), fix="name a folder of images or a .zip of one")


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden
