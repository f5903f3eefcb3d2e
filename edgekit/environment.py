"""What is installed here, for the manifest and for `edgekit doctor`, and where things are kept. Imports none of it."""

import os
import platform
import re
import tempfile
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path

NAME = "edgekit"
PACKAGES = (
    NAME,
    "torch",
    "onnx",
    "onnx-ir",
    "onnxscript",
    "onnxsim",
    "onnxruntime",  # folds constants and calibrates, whatever the target
    "flatbuffers",
    "numpy",
    "pillow",
)
GROUPS = tuple(f"{NAME}.{kind}" for kind in ("models", "targets", "devices"))
"""Of entry points, by which other packages add theirs."""


def versions(*of_target: str) -> dict[str, str | None]:
    """Version of Python and of each package that has a say in a file's bytes; None where it is not installed."""
    return {"python": platform.python_version(), **{package: installed(package) for package in (*PACKAGES, *of_target)}}


def needed() -> list[str]:
    """edgekit, the packages that add to it, and what they cannot do without."""
    adding = sorted({entry.dist.name for group in GROUPS for entry in entry_points(group=group) if entry.dist})
    asked = [name for one in (NAME, *adding) for name, condition in _requirements(one) if not condition]
    return list(dict.fromkeys((NAME, *adding, *asked)))


def optional() -> list[str]:
    """What edgekit's extras ask for, but for those of its own development."""
    asked = [name for name, condition in _requirements(NAME) if condition and '"dev"' not in condition]
    return [name for name in dict.fromkeys(asked) if name not in needed()]


def _requirements(distribution: str) -> list[tuple[str, str]]:
    """(name, condition) of all that a distribution asks for; the condition is an extra, a system, or empty."""
    try:
        texts = requires(distribution) or []
    except PackageNotFoundError:
        return []
    return [(re.split(r"[^A-Za-z0-9._-]", text)[0], text.partition(";")[2].replace("'", '"')) for text in texts]


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
    if chosen:
        return Path(chosen)
    try:
        return Path.home() / folder
    except RuntimeError:  # a user without a home and without an entry in the password file, as in a container
        return Path(tempfile.gettempdir()) / f"edgekit-{os.getuid()}" / folder
