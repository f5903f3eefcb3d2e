"""What an app must feed a model file and what it gets back."""

from collections.abc import Mapping
from dataclasses import replace

from edgekit.artifact import Contract
from edgekit.images.preprocess import steps
from edgekit.registry import Preprocess
from edgekit.target import Emitted, Meaning, TensorInfo

DTYPE_BOUNDS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


def make_contract(
    feed: Preprocess, emitted: Emitted, labels: tuple[str, ...], meanings: Mapping[str, Meaning]
) -> Contract:
    """The contract of one file; its last steps bring the normalised image to the stored layout and dtype.

    Args:
        meanings: of the model's outputs by name.
    """
    stored = emitted.inputs[0]
    outputs = tuple(replace(output, meaning=meanings[output.name]) for output in emitted.outputs)
    last = (f"lay the values out as {stored.layout}: {list(stored.shape)}", *_quantize_step(stored))
    named = labels if any(output.meaning == "scores" for output in outputs) else ()
    return Contract(emitted.inputs, outputs, feed, (*steps(feed), *last), named)


def _quantize_step(tensor: TensorInfo) -> tuple[str, ...]:
    if tensor.scale is None:
        return ()
    low, high = DTYPE_BOUNDS[tensor.dtype]
    stored = f"round(value / {tensor.scale:.9g}) + {tensor.zero_point}"
    return (f"quantize: stored = clip({stored}, {low}, {high}), {tensor.dtype}",)
