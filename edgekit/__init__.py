"""From a trained PyTorch vision model to a file proven to run on a phone or a Raspberry Pi.

    >>> import edgekit
    >>> run = edgekit.export("mobilenet_v3_small", target="tflite-int8")
    >>> run.bundles["tflite-int8"]
    PosixPath('build/mobilenet_v3_small/tflite-int8')

What stands in `__all__` is public, and all that is. Importing this module loads neither torch nor onnxruntime; a name
loads what it needs when it is used.
"""

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.bundle.files import read_bundle
    from edgekit.errors import EdgekitError
    from edgekit.public import bench, evaluate, export, verify
    from edgekit.recipe import Recipe
    from edgekit.registry import register_model
    from edgekit.run import Run

    __version__: str

# ONNX Runtime reads this when it loads, so it must stand before the first import of onnxruntime.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "EdgekitError",
    "Recipe",
    "Run",
    "__version__",
    "bench",
    "evaluate",
    "export",
    "read_bundle",
    "register_model",
    "verify",
]

_DEFINED_IN = {
    "EdgekitError": "errors",
    "Recipe": "recipe",
    "Run": "run",
    "evaluate": "public",
    "export": "public",
    "read_bundle": "bundle.files",
    "register_model": "registry",
}


class _Room(ModuleType):
    # A room that has a function's name: `edgekit.verify(bundle)` calls it, `edgekit.verify.parity` is a module in it.
    # Importing anything of a room puts the room under its name into this module, in the place of a function.

    @property
    def _function(self) -> Any:
        return getattr(import_module("edgekit.public"), self.__name__.rpartition(".")[2])

    @property
    def __signature__(self) -> Any:
        """For completion."""
        from inspect import signature

        return signature(self._function)

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        """The function's: it is what `help(edgekit.verify)` asks for."""
        from inspect import getdoc

        return f"{self._function.__name__}{self.__signature__}\n\n{getdoc(self._function)}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


for _name in ("bench", "verify"):
    import_module(f"edgekit.{_name}").__class__ = _Room


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is first used. So is `__version__`: the look-up costs a tenth of `--help`."""
    if name == "__version__":
        from importlib.metadata import version

        return version("edgekit")
    if name not in _DEFINED_IN:
        raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
    value = getattr(import_module(f"edgekit.{_DEFINED_IN[name]}"), name)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
