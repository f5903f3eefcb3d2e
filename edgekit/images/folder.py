"""Folders and zip archives of images, streamed in a fixed order."""

import hashlib
import io
import os
import zipfile
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
from edgekit.images.preprocess import load_image
from edgekit.registry import Preprocess
from edgekit.target import FloatArray

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".gif", ".tif", ".tiff"))
DECODERS = 4  # threads; Pillow releases the GIL while it decodes and resizes
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, zipfile.BadZipFile)
"""What Pillow and zipfile raise for a broken file."""

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
        with self._reader() as read, ThreadPoolExecutor(workers) as pool:
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
        with self._reader() as read:
            for name in self.names:
                data = self._read(read, name)
                digest.update(f"{name}\0{len(data)}\0".encode())
                digest.update(data)
        return digest.hexdigest()

    def hashes(self) -> list[str]:
        """SHA-256 of the bytes of each image, in order."""
        with self._reader() as read:
            return [hashlib.sha256(self._read(read, name)).hexdigest() for name in self.names]

    def _load(self, read: Reader, name: str, preprocess: Preprocess) -> FloatArray:
        data = self._read(read, name)
        try:
            return load_image(io.BytesIO(data), preprocess)
        except UNREADABLE as error:
            raise self._corrupt(name, error) from error

    def _read(self, read: Reader, name: str) -> bytes:
        try:
            return read(name)
        except (*UNREADABLE, RuntimeError) as error:  # RuntimeError: an encrypted zip entry
            raise self._corrupt(name, error) from error

    def _corrupt(self, name: str, error: Exception) -> EdgekitError:
        reason = "not an image" if "cannot identify image" in str(error) else str(error)
        return EdgekitError(
            "EK108",
            what=f"cannot read image {name}: {reason}",
            where=str(self.location),
            fix="replace the file, or take it out of the folder",
        )

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        if self.location.is_dir():
            yield lambda name: (self.location / name).read_bytes()
        else:
            with zipfile.ZipFile(self.location) as archive:
                yield archive.read


def _list_files(location: Path) -> list[str]:
    if location.is_dir():
        return [path.relative_to(location).as_posix() for path in location.rglob("*") if path.is_file()]
    try:
        with zipfile.ZipFile(location) as archive:
            return [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        what = "no such folder or archive" if not location.exists() else "neither a folder nor a readable .zip archive"
        raise EdgekitError(
            "EK102", what=what, where=str(location), fix="name a folder of images or a .zip of one"
        ) from error


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden
