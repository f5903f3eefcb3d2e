"""Reading a checkpoint file into tensors, without running any code it may carry."""

import hashlib
import pickle
import re
import struct
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from edgekit.errors import EdgekitError

TORCH_SUFFIXES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar")
NESTED_UNDER = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys that training scripts store the tensors under; the moving average first, since it is what they evaluate."""

WRAPPER_PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put in front of every key."""

BROKEN = (EOFError, RuntimeError, KeyError, ValueError, IndexError, TypeError, AttributeError, struct.error, OSError)
"""What torch.load raises on truncated or foreign bytes (its unpickler fails wherever it happens to stop)."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth, .pt, .th, .bin or .safetensors file, in the file's order, on the CPU.

    A dictionary nested under `state_dict`, `model` or `state_dict_ema` is unwrapped, and `module.` and `_orig_mod.` are
    taken off when every key starts with them.

    Errors:
        EK102 missing, truncated, or code instead of tensors; EK103 it holds something else than named tensors.
    """
    if not path.is_file():
        raise EdgekitError(
            "EK102",
            what="no such weights file" if not path.exists() else "the weights are a folder, not a file",
            where=str(path),
            fix="check the path given to --weights",
        )
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return _strip_wrappers(_read_safetensors(path))
    if suffix not in TORCH_SUFFIXES:
        raise EdgekitError(
            "EK106",
            what=f"{suffix or path.name!r} is not a kind of weights file that can be read",
            where=f"--weights {path}",
            fix=f"use one of: {' '.join(TORCH_SUFFIXES)} .safetensors",
        )
    return _strip_wrappers(_unwrap(_read_torch(path), path))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, str(error)) from error


def _read_torch(path: Path) -> object:
    if _is_torchscript(path):
        raise EdgekitError(
            "EK103",
            what="a TorchScript archive holds a program, not a checkpoint",
            where=str(path),
            fix="save the tensors alone: torch.save(model.state_dict(), 'weights.pth')",
        )
    try:
        loaded: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "can still be loaded" in str(error):
            raise _needs_code(path, str(error)) from error
        raise _unreadable(path, "it is not a PyTorch checkpoint") from error
    except BROKEN as error:
        raise _unreadable(path, str(error) or "it ends too early") from error
    return loaded


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _needs_code(path: Path, message: str) -> EdgekitError:
    wanted = re.search(r"GLOBAL (\S+)", message)
    code = wanted[1] if wanted else "pickled objects"
    return EdgekitError(
        "EK102",
        what=f"the checkpoint needs code to be loaded ({code}), which is never run",
        where=str(path),
        fix="save the tensors alone: torch.save(model.state_dict(), 'weights.pth')",
    )


def _unreadable(path: Path, reason: str) -> EdgekitError:
    return EdgekitError(
        "EK102",
        what=f"the weights cannot be read: {reason.strip().splitlines()[0]}",
        where=str(path),
        fix="the file is truncated or of another kind; copy or download it again",
    )


def _unwrap(loaded: object, path: Path) -> dict[str, Tensor]:
    """Follow the nesting of training scripts down to a dictionary of tensors."""
    while isinstance(loaded, dict):
        if loaded and all(isinstance(value, Tensor) for value in loaded.values()):
            return {str(key): value for key, value in loaded.items()}
        nested = next((loaded[key] for key in NESTED_UNDER if isinstance(loaded.get(key), dict)), None)
        if nested is None:
            break
        loaded = nested
    holds = ", ".join(map(str, list(loaded)[:8])) if isinstance(loaded, dict) else type(loaded).__name__
    raise EdgekitError(
        "EK103",
        what=f"the checkpoint holds no dictionary of tensors (found: {holds or 'nothing'})",
        where=str(path),
        fix="save the tensors alone: torch.save(model.state_dict(), 'weights.pth')",
    )


def _strip_wrappers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    while prefix := next((p for p in WRAPPER_PREFIXES if state and all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state
