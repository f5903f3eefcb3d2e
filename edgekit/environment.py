"""What is installed here, for the manifest and for `edgekit doctor`, and where things are kept. Imports none of it."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "edgekit",
    "torch",
    "onnx",
    "onnx-ir",
    "onnxscript",
    "onnxsim",
    "onnxruntime",
    "ai-edge-litert",
    "flatbuffers",
    "numpy",
    "pillow",
)


def versions() -> dict[str, str | None]:
    """Version of Python and of each package that has a say in a file's bytes; None where it is not installed."""
    return {"python": platform.python_version(), **{package: installed(package) for package in PACKAGES}}


def installed(package: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def cache_dir() -> Path:
    """$EDGEKIT_CACHE, else $XDG_CACHE_HOME/edgekit, else ~/.cache/edgekit. It need not exist."""
    return Path(os.environ.get("EDGEKIT_CACHE") or _base("XDG_CACHE_HOME", ".cache") / "edgekit")


def config_dir() -> Path:
    """$XDG_CONFIG_HOME/edgekit, else ~/.config/edgekit. It need not exist."""
    return _base("XDG_CONFIG_HOME", ".config") / "edgekit"


def _base(variable: str, folder: str) -> Path:
    chosen = os.environ.get(variable)
    return Path(chosen) if chosen else Path.home() / folder
