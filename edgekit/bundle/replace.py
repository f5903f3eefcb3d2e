"""A folder takes the place of another: whole at every instant, whatever ends the process, and no file of the user lost.

Everything happens in a hidden folder beside the place, `.edgekit-XXXXXXXX`, which holds

    lock      locked by the process that works there, for as long as it lives; inside: the name of the place
    writing   the new folder, not yet complete
    new       the new folder, complete; after the exchange the one that was there before
    old       the one that was there before, on file systems without an exchange

so that whoever finds such a folder can tell from what is in it what to do. The next run into the same parent does.
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EEXIST, ENOLCK, ENOSYS, ENOTEMPTY, ENOTSUP
from pathlib import Path
from typing import Any, Literal

from edgekit.bundle.exchange import exchange
from edgekit.bundle.layout import MANIFEST, REPORT
from edgekit.errors import EdgekitError
from edgekit.files import read_regular

Kind = Literal["bundle", "android module", "compressed model"]
UNLISTED: dict[Kind, frozenset[str]] = {
    "bundle": frozenset((MANIFEST, REPORT)),
    "android module": frozenset((MANIFEST,)),
    "compressed model": frozenset((MANIFEST,)),
}
"""What a folder of edgekit's holds beside the files that its manifest lists."""
NAMES: dict[Kind, str] = {
    "bundle": "a bundle",
    "android module": "an Android module",
    "compressed model": "a compressed model",
}
PREFIX = ".edgekit-"
LARGEST_MANIFEST = 1 << 26


def replace_folder(place: Path, files: Mapping[str, bytes], kind: Kind = "bundle") -> None:
    """Make `place` a folder of exactly these files, and of what the user put beside those that were there.

    Args:
        files: path in the folder -> content; among them a manifest.json that lists the others.

    Raises:
        EdgekitError: EK702 when it cannot be written, or something is there that edgekit did not write; then all is as
            it was.
    """
    missing = [parent for parent in place.parents if not os.path.lexists(parent)]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        sweep(place.parent)
        check_replaceable(place, kind)
        with _workspace(place) as work:
            _write(work.writing, files)
            work.writing.rename(work.new)
            _check_no_file_in_the_way(work)
            _put(work)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in a name
        reason = getattr(error, "strerror", None) or str(error)
        fix = "free some space, or choose another --out DIR"
        raise EdgekitError("EK702", what=f"cannot write: {reason}", where=str(place), fix=fix) from error
    finally:
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()


def check_replaceable(place: Path, kind: Kind = "bundle") -> None:
    """EK702 unless nothing is there, or a folder that edgekit wrote as its manifest shows."""
    with suppress(FileNotFoundError):  # another run is replacing it
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise _in_the_way(place, f"something else than {NAMES[kind]} is there")
        if place.exists() and not _is_of(written(place), kind):
            found = sorted(os.listdir(place))
            named = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
            raise _in_the_way(place, f"a folder is there that is not {NAMES[kind]} of edgekit; it holds {named}")


def _is_of(found: "Written | None", kind: Kind) -> bool:
    return found is not None and found.kind in (None, kind)


@dataclass(frozen=True, slots=True)
class Written:
    """What edgekit wrote into a folder.

    Args:
        kind: None for an empty folder.
        names: paths of the files in it.
    """

    kind: Kind | None
    names: frozenset[str]


def written(folder: Path) -> Written | None:
    """What edgekit wrote into a folder, as its manifest says; None for a folder that somebody else made.

    The form of the manifest decides, not its name: other tools write a manifest.json too.
    """
    if not any(folder.iterdir()):
        return Written(None, frozenset())
    try:
        document = json.loads(read_regular(folder / MANIFEST, LARGEST_MANIFEST))
    except (EdgekitError, ValueError, RecursionError):
        return None
    if not _is_manifest(document):
        return None
    kind: Kind = document.get("kind", "bundle")
    return Written(kind, UNLISTED[kind].union(document.get("files", ()), document.get("unhashed_files", ())))


def _is_manifest(document: Any) -> bool:
    if not isinstance(document, dict):
        return False
    texts = all(isinstance(document.get(key), str) for key in ("model", "target"))
    tables = all(isinstance(document.get(key, {}), dict) for key in ("files", "unhashed_files"))
    return texts and tables and type(document.get("format")) is int and document.get("kind", "bundle") in list(UNLISTED)


def sweep(parent: Path) -> None:
    """Finish what killed runs left in a folder: what is the user's goes back to its place, the rest goes."""
    for path in sorted(parent.glob(f"{PREFIX}*")):
        with suppress(OSError):
            _sweep(path)


def _sweep(path: Path) -> None:
    if path.is_symlink():
        return
    with suppress(FileNotFoundError):
        lock = os.open(path / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its process lives
            name = os.fsdecode(os.pread(lock, 4096, 0))
            if name and name not in (".", "..") and "/" not in name:
                _settle(Workspace(path, path.parent / name))
            (path / "lock").unlink()
        finally:
            os.close(lock)
    path.rmdir()


@dataclass(frozen=True, slots=True)
class Workspace:
    """The hidden folder beside `place`."""

    path: Path
    place: Path

    @property
    def writing(self) -> Path:
        return self.path / "writing"

    @property
    def new(self) -> Path:
        return self.path / "new"

    @property
    def old(self) -> Path:
        return self.path / "old"


@contextmanager
def _workspace(place: Path) -> Iterator[Workspace]:
    lock, work = _open_workspace(place)
    try:
        yield work
    finally:
        _settle(work)
        with suppress(OSError):
            (work.path / "lock").unlink()
            work.path.rmdir()
        os.close(lock)


def _open_workspace(place: Path) -> tuple[int, Workspace]:
    """A locked workspace. Another run may sweep one away that is not locked yet; then there is a next one."""
    while True:
        work = Workspace(Path(tempfile.mkdtemp(prefix=PREFIX, dir=place.parent)), place)
        file = work.path / "lock"
        try:
            lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue
        try:
            if _lock(lock):
                os.write(lock, os.fsencode(place.name))
                if file.exists():  # else it was swept before it was locked
                    return lock, work
        except BaseException:
            os.close(lock)
            shutil.rmtree(work.path, ignore_errors=True)
            raise
        os.close(lock)


def _lock(file: int) -> bool:
    """Whether no other process has it. A file system without locks lets everybody through."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (ENOLCK, ENOSYS, ENOTSUP):
            raise
    return True


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _check_no_file_in_the_way(work: Workspace) -> None:
    """The user's files are kept, so none may have the name of one of edgekit's."""
    before = _identity(work.place)
    with suppress(FileNotFoundError):
        found = written(work.place) if before else None
        for name, ours in _entries(work.place, found.names) if found else ():
            if not ours and os.path.lexists(work.new / name) and _identity(work.place) == before:
                raise _in_the_way(work.place, f"{name} is there, which edgekit did not write and would replace")


def _identity(place: Path) -> int | None:
    """Of the folder that is there now; another run may replace it at any moment."""
    try:
        return place.stat().st_ino
    except FileNotFoundError:
        return None


def _put(work: Workspace) -> None:
    """`new` takes the place; what was there lies in `new` or `old` then."""
    while True:
        if not os.path.lexists(work.place):
            with _only(ENOTEMPTY, EEXIST):
                work.new.rename(work.place)
                return
        elif exchange(work.new, work.place) or _put_by_two_renames(work):
            return


def _put_by_two_renames(work: Workspace) -> bool:
    """Where the file system has no exchange. A run that is killed between the two is mended by the next."""
    try:
        work.place.rename(work.old)
    except FileNotFoundError:  # another run is between its two
        return False
    with _only(ENOTEMPTY, EEXIST):
        work.new.rename(work.place)
        return True
    _retire(work.old, work.place)  # another run was faster: its folder is replaced next
    return False


@contextmanager
def _only(*numbers: int) -> Iterator[None]:
    """Pass over an OSError of these numbers."""
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise


def _settle(work: Workspace) -> None:
    """Bring a workspace to its end, whatever state it is in; nothing but its lock is left unless the user's."""
    with suppress(FileNotFoundError):
        shutil.rmtree(work.writing)
    if work.old.exists() and not os.path.lexists(work.place):
        with _only(ENOTEMPTY, EEXIST):  # another run, which was between its two renames, has put its folder there
            work.old.rename(work.place)
    for folder in (work.new, work.old):
        if folder.is_dir():
            _retire(folder, work.place)


def _retire(folder: Path, place: Path) -> None:
    """Delete what edgekit wrote into a folder; what the user put there goes to the same name in `place`.

    The manifest goes last, so that a run that ends in the middle can be continued.
    """
    found = written(folder)
    if found is None:
        return
    for name, ours in list(_entries(folder, found.names)):
        if ours and name != MANIFEST:
            (folder / name).unlink()
        elif not ours and not os.path.lexists(place / name):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).rename(place / name)
    for inner, _, _ in os.walk(folder, topdown=False):
        if inner != str(folder):
            with suppress(OSError):  # holds something that is not edgekit's and has no place to go
                os.rmdir(inner)
    if os.listdir(folder) in ([], [MANIFEST]):
        (folder / MANIFEST).unlink(missing_ok=True)
        folder.rmdir()


def remove_folder(folder: Path) -> None:
    """Delete what edgekit wrote into a folder, and the folder when that was all; any other folder stays as it is."""
    with suppress(OSError):
        found = None if folder.is_symlink() else written(folder)
        if found is not None and found.kind is not None:
            _retire(folder, folder)


def _entries(folder: Path, names: frozenset[str], above: str = "") -> Iterator[tuple[str, bool]]:
    """(path, whether edgekit wrote it) of all files; a folder without any of edgekit's stands for all in it.

    Links are never followed: what `names` says is data, and must not lead out of the folder.
    """
    for entry in sorted(os.scandir(folder / above), key=lambda entry: entry.name):
        name = f"{above}{entry.name}"
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and any(each.startswith(f"{name}/") for each in names):
            yield from _entries(folder, names, f"{name}/")
        else:
            yield name, name in names and not is_folder


def _in_the_way(place: Path, what: str) -> EdgekitError:
    fix = "move it away, or choose another --out DIR"
    return EdgekitError("EK702", what=what, where=str(place), fix=fix)
