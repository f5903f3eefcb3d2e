"""What is installed here: for the manifest and for `edgekit doctor`. Imports none of it."""

import platform
from importlib.metadata import PackageNotFoundError, version

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
