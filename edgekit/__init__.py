"""From a trained PyTorch vision model to a file proven to run on a phone or a Raspberry Pi.

    >>> import edgekit
    >>> run = edgekit.export("mobilenet_v3_small", target="tflite-int8")
    >>> run.bundles["tflite-int8"]
    PosixPath('build/mobilenet_v3_small/tflite-int8')

Importing this module loads neither torch nor onnxruntime; `export` does.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.run import Run

# ONNX Runtime reads this when it loads, so it must stand before the first import of onnxruntime.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["__version__", "export"]


def export(model: str, *, target: str | Sequence[str], **choices: Any) -> "Run":
    """Export a model to one or more targets, verify every hop and write the bundles.

    Args:
        model: zoo name, `timm:NAME`, `torchvision:NAME`, `file.py:callable`, `model.onnx` or `model.pt2`.
        target: one target name or several; `edgekit targets` lists them.
        **choices: any other field of `edgekit.recipe.Recipe`: weights, calibration, num_classes, input_size, ...

    Returns:
        The Run: every intermediate graph, a result per target, the bundle folders and the stage timings. A gate that
        failed and a target that was refused are results; `run.raise_for_failures()` makes an error of them.

    Raises:
        edgekit.errors.EdgekitError: what went wrong with the model or the recipe, where, and how to fix it.
    """
    from edgekit import pipeline
    from edgekit.recipe import make_recipe

    targets = (target,) if isinstance(target, str) else tuple(target)
    return pipeline.export(make_recipe(model=model, targets=targets, **choices))


def __getattr__(name: str) -> str:
    """`__version__`, read from the installed package only when asked: the look-up costs a tenth of `--help`."""
    if name == "__version__":
        from importlib.metadata import version

        return version("edgekit")
    raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
