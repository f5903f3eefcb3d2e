"""Reading a checkpoint file into tensors, without running any code it may carry."""

import hashlib
import pickle
import struct
import tarfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from edgekit.errors import EdgekitError
from edgekit.source.inert import Array, Code, Placeholder, read_inert

State = dict[str, Tensor]

TORCH_SUFFIXES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar", ".pkl")
PICKLE, ZIP = b"\x80", b"PK\x03\x04"
"""How the files that torch.save writes begin, whatever they are called."""

DEEPEST, OFTEN = 24, 16
"""Levels of dictionaries and modules that are followed, and how often one that lies in several places is."""

SAVE = "save the tensors alone: torch.save(model.state_dict(), 'weights.pth')"

BROKEN = (
    *(EOFError, RuntimeError, KeyError, ValueError, IndexError, TypeError, AttributeError, AssertionError),
    *(struct.error, OSError, tarfile.TarError, zipfile.BadZipFile, OverflowError, MemoryError, RecursionError),
    *(ImportError, pickle.UnpicklingError),
)
"""What torch.load raises on truncated or foreign bytes (its unpickler fails wherever it happens to stop)."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All tensors of a file, under the names of what they lie in: `state_dict.conv1.weight`.

    Args:
        where: the weights in the user's words, for messages.
        tensors: in the file's order, on the CPU.
        folders: names of what holds tensors, the dictionaries of the file, in its order; "" is the file itself.
        holds: names at the top of the file, or what it is.
        unusable: name -> why a tensor holds no plain numbers.
        chosen: the dictionary that the user named; the others then are not there.
    """

    where: str
    tensors: State = field(repr=False)
    folders: tuple[str, ...] = ()
    holds: str = ""
    unusable: Mapping[str, str] = field(default_factory=dict)
    chosen: str = ""


def of_state(state: Mapping[str, Tensor], where: str) -> Checkpoint:
    """Tensors that are in memory."""
    return _checkpoint(dict(state), where)


def split_choice(chosen: str | Path) -> tuple[Path, str]:
    """`net.pth#model_ema` -> the file and the dictionary in it; a file whose name holds a # comes first."""
    path = Path(chosen)
    file, mark, key = str(chosen).rpartition("#")
    return (Path(file), key) if mark and Path(file).suffix and not exists(path) else (path, "")


def exists(path: Path) -> bool:
    """Whether something is there; a name that no folder can hold, or that may not be looked at, is not."""
    try:
        return path.exists()
    except OSError:
        return False


def read_checkpoint(chosen: str | Path) -> Checkpoint:
    """The tensors of a .pth, .pt, .th, .bin, .ckpt, .tar or .safetensors file, on the CPU.

    Args:
        chosen: the file, with `#KEY` behind it where one of its dictionaries is meant.

    Errors:
        EK102 missing, truncated, or code instead of tensors; EK103 it holds something else than named tensors.
    """
    path, key = split_choice(chosen)
    check_file(path, "--weights")
    loaded = _read_safetensors(path) if _is_safetensors(path) else read_object(path)
    found = _checkpoint(loaded, str(path))
    if all(name.rpartition(".")[2].isdigit() or not name for name in (*found.tensors, *found.unusable)):
        raise EdgekitError(
            "EK103",
            what=f"the checkpoint holds no dictionary of tensors (found: {found.holds or 'nothing'})",
            where=str(path),
            fix=SAVE,
        )
    return _part(found, key) if key else found


def check_file(path: Path, option: str) -> None:
    """EK102 for a path that is no readable file; EK106 for a file that neither torch nor safetensors wrote."""
    try:
        if not path.is_file():
            there = path.exists()
            what = f"the weights are {'a folder, not a' if path.is_dir() else 'no'} file" if there else ""
            raise _missing(path, what or "no such weights file", option)
        start = _start(path)
    except OSError as error:
        raise _missing(path, f"the weights cannot be read: {error.strerror}", option) from error
    known = path.suffix.lower() in (*TORCH_SUFFIXES, ".safetensors") or start.startswith((PICKLE, ZIP))
    if not known and not _is_safetensors(path):
        raise EdgekitError(
            "EK106",
            what=f"{path.suffix or path.name!r} is not a kind of weights file that can be read",
            where=f"{option} {path}",
            fix=f"use one of: {' '.join(TORCH_SUFFIXES)} .safetensors",
        )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_torchscript(path: Path) -> bool:
    """Whether a file holds a TorchScript program."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def read_object(path: Path) -> object:
    """What torch.save wrote into a file; whatever is not plain data or a tensor is a Placeholder.

    Errors:
        EK102 unreadable, or code; EK103 a TorchScript program.
    """
    if is_torchscript(path):
        raise EdgekitError(
            "EK103",
            what="a TorchScript archive holds a program, not a checkpoint",
            where=str(path),
            fix=f"export it as the model: edgekit export {path}; or {SAVE}",
        )
    try:
        if tarfile.is_tarfile(path):  # torch's first format, which its own safe reader does not know
            return read_inert(path)[0]
        try:
            with warnings.catch_warnings(action="ignore"):
                loaded: object = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "magic number" not in str(error):
                raise
            return read_inert(path)[0]
        return loaded
    except Code as error:
        raise EdgekitError(
            "EK102",
            what=f"the checkpoint needs code to be loaded ({error.name}), which is never run",
            where=str(path),
            fix=f"do not open it with torch.load either, unless you trust who made it; {SAVE}",
        ) from error
    except BROKEN as error:
        raise _unreadable(path, _reason(error)) from error


def _reason(error: Exception) -> str:
    """What broke, in words; pickle's own say nothing to a user."""
    if isinstance(error, pickle.UnpicklingError | ImportError | TypeError | AttributeError | KeyError | IndexError):
        return "it is not a PyTorch checkpoint"
    return str(error).strip() or "it ends too early"


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(9)


def _is_safetensors(path: Path) -> bool:
    """By its name, or by its first bytes: the header's length, and the header's brace."""
    if path.suffix.lower() == ".safetensors":
        return True
    start = _start(path)
    return start[8:] == b"{" and 2 <= struct.unpack("<Q", start[:8])[0] <= path.stat().st_size


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, *BROKEN) as error:
        raise _unreadable(path, str(error) or "it ends too early") from error


def _missing(path: Path, what: str, option: str) -> EdgekitError:
    return EdgekitError("EK102", what=what, where=str(path), fix=f"check the path given to {option}")


def _unreadable(path: Path, reason: str) -> EdgekitError:
    return EdgekitError(
        "EK102",
        what=f"the weights cannot be read: {reason.strip().splitlines()[0]}",
        where=str(path),
        fix="the file is truncated or of another kind; copy or download it again",
    )


def _checkpoint(loaded: object, where: str) -> Checkpoint:
    tensors: State = {}
    unusable: dict[str, str] = {}
    folders: dict[str, None] = {"": None}
    for name, tensor, inside in _tensors(loaded, Place()):
        folders |= dict.fromkeys(inside)
        if kind := _kind(tensor):
            unusable.setdefault(name, kind)
        else:
            tensors.setdefault(name, tensor)
    return Checkpoint(where, tensors, tuple(folders), _holds(loaded), unusable)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something lies in a file.

    Args:
        name: of its dictionaries and keys, with dots between.
        within: identities of what it lies in.
        seen: identity -> how often something was followed, for the whole file.
        folders: names of the dictionaries that it lies in.
    """

    name: str = ""
    within: tuple[int, ...] = ()
    folders: tuple[str, ...] = ()
    seen: Counter[int] = field(default_factory=Counter)

    def inside(self, node: object, part: str) -> "Place":
        """The place of a part of `node`, which lies here."""
        folders = self.folders if isinstance(node, Placeholder) and self.within else (*self.folders, self.name)
        return Place(".".join(filter(None, (self.name, part))), (*self.within, id(node)), folders, self.seen)


def _part(found: Checkpoint, key: str) -> Checkpoint:
    """One dictionary of a checkpoint alone."""
    inside = f"{key}."
    tensors = {name.removeprefix(inside): value for name, value in found.tensors.items() if name.startswith(inside)}
    if tensors:
        unusable = {n.removeprefix(inside): kind for n, kind in found.unusable.items() if n.startswith(inside)}
        return Checkpoint(found.where, tensors, ("",), found.holds, unusable, key)
    raise EdgekitError(
        "EK103",
        what=f"the checkpoint holds no dictionary {key!r}",
        where=found.where,
        fix=f"it holds: {', '.join(name or 'the tensors themselves' for name in found.folders[:12])}",
    )


def _tensors(node: object, place: Place) -> Iterator[tuple[str, Tensor, tuple[str, ...]]]:
    """Every tensor below `node`: its name, itself and its dictionaries; what holds itself is followed once."""
    if isinstance(node, Array):
        node = node.tensor if node.tensor is not None else node
    if isinstance(node, Tensor):
        yield place.name, node, place.folders
    elif len(place.within) < DEEPEST and id(node) not in place.within and place.seen[id(node)] < OFTEN:
        place.seen[id(node)] += 1
        for part, held in _parts(node):
            yield from _tensors(held, place.inside(node, part))


def _parts(node: object) -> Iterator[tuple[str, object]]:
    """What lies in a dictionary, a list or an object, by name."""
    if isinstance(node, Placeholder):
        yield from node.parts
    elif isinstance(node, Mapping):
        yield from ((_text(key), value) for key, value in node.items())
    elif isinstance(node, list | tuple):
        pairs = bool(node) and all(isinstance(p, list | tuple) and len(p) == 2 and isinstance(p[0], str) for p in node)
        yield from node if pairs else ((str(place), held) for place, held in enumerate(node))


def _text(key: object) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def _kind(tensor: Tensor) -> str:
    """Why a tensor holds no plain numbers; empty where it does."""
    if tensor.is_nested:
        return "nested"
    if tensor.is_quantized:
        return "quantized"
    if tensor.layout != torch.strided:
        return "sparse"
    return "without values" if tensor.is_meta else ""


def _holds(loaded: object) -> str:
    if isinstance(loaded, Placeholder):
        return f"an object of {loaded.name}"
    return ", ".join(map(str, list(loaded)[:8])) if isinstance(loaded, dict) else type(loaded).__name__
