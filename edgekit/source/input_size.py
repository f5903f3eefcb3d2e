"""Whether a module can take the input size that was asked for, found out by running it once."""

import inspect
import re
import traceback
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from edgekit.errors import EdgekitError
from edgekit.registry import Preprocess
from edgekit.source.choices import Shape, input_shape
from edgekit.source.outputs import OutputSpec, describe_outputs
from edgekit.trace.outputs import NotTensors, named_tensors

MISTAKES = (AttributeError, NameError, ImportError, NotImplementedError, TypeError, KeyError, SystemExit)
"""What code raises that would fail on an input of any size."""

OTHER_DTYPE = re.compile(
    r"expected .*(scalar type|dtype)|(should be the same|must have the same|to have the same) (d?type|dtype)?"
    r"|(input|bias|weight) type",
    re.IGNORECASE,
)
"""In the words of PyTorch for two tensors of unlike types."""

OUT_OF_MEMORY = "can't allocate memory"

KEEP_FLOAT = "take .half(), .double() and .to(dtype) out of its code: it is traced in float32"

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def check_minimum(shape: Shape, min_input: int, where: str) -> None:
    """EK203 where the shorter side is less than `min_input` pixels: some feature map would be empty."""
    if min(shape[2:]) < min_input:
        raise EdgekitError(
            "EK203",
            what=f"an input of {shape[2]}x{shape[3]} pixels is too small",
            where=where,
            fix=f"--input-size {min_input} or more",
        )


def run_on_zeros(module: nn.Module, shape: Shape, where: str) -> tuple[OutputSpec, ...]:
    """Run `module` on zeros of `shape`; returns what it gives.

    Errors:
        EK203 the module cannot take this size; EK201 it gives back something else than tensors.
    """
    try:
        with torch.no_grad():
            results = module(torch.zeros(shape))
    except (Exception, SystemExit) as error:  # the user's code can raise anything
        if OUT_OF_MEMORY in str(error):  # torch's own allocator raises a RuntimeError
            raise MemoryError(str(error)) from error
        _refuse_several_inputs(module, where)
        size = "x".join(map(str, shape))
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if isinstance(error, MISTAKES):
            raise EdgekitError(
                "EK107",
                what=f"the forward pass raised {type(error).__name__}: {reason}{_line(error)}",
                where=where,
                fix=f"correct it; the module must run on torch.zeros({', '.join(map(str, shape))}) by itself",
            ) from error
        raise EdgekitError(
            "EK203",
            what=f"the model cannot take {'float32' if OTHER_DTYPE.search(reason) else 'an input of'} {size}: {reason}",
            where=where,
            fix=KEEP_FLOAT if OTHER_DTYPE.search(reason) else _how_to_fit(module, shape[1]),
        ) from error
    try:
        tensors = named_tensors(results)
    except NotTensors as error:
        raise EdgekitError(
            "EK201",
            what=f"the model returns {error}, not tensors",
            where=where,
            fix="wrap it in a module whose forward returns tensors, in tuples, lists, dicts or dataclasses",
        ) from error
    if odd := next((name for name, tensor in tensors.items() if tensor.is_complex()), None):
        raise EdgekitError(
            "EK201",
            what=f"the model returns complex numbers ({odd}), which no target has",
            where=where,
            fix="return real numbers: torch.view_as_real, or the absolute value and the angle",
        )
    return describe_outputs({name: tuple(tensor.shape) for name, tensor in tensors.items()})


def _line(error: BaseException) -> str:
    """The last line of code outside of torch that an error passed through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame.filename)]
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def _is_ours(file: str) -> bool:
    return Path(file) == Path(__file__) or "torch" in Path(file).parts or file.startswith("<")


def materialize(module: nn.Module, shape: Shape, where: str) -> None:
    """Give the tensors of lazy layers (nn.LazyLinear) their shapes and first values, by a run on zeros, in place."""
    if any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        run_on_zeros(module, shape, where)


def fitting(module: nn.Module, assumed: Preprocess) -> Preprocess:
    """What to feed a module of which nobody said: `assumed`, or pixels of 0 to 1 where it takes another count of them.

    The first convolution says how many channels, and a run on zeros whether it is so.
    """
    channels = _channels_of(module)
    if channels is None or channels == len(assumed.mean) or _runs(module, assumed):
        return assumed
    plain = replace(assumed, mean=(0.0,) * channels, std=(1.0,) * channels)
    return plain if _runs(module, plain) else assumed


def _channels_of(module: nn.Module) -> int | None:
    """What the first convolution reads; None where there is none, or one that takes any number."""
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    return None if first is None or is_lazy(first.weight) else first.in_channels


def _how_to_fit(module: nn.Module, given: int) -> str:
    channels = _channels_of(module)
    if channels in (None, given):
        return "choose the size that the model was made for: --input-size HxW"
    return f"its first convolution reads {channels} channels, not {given}: give {channels} numbers as --mean and --std"


def _runs(module: nn.Module, preprocess: Preprocess) -> bool:
    try:
        with torch.no_grad():
            module(torch.zeros(input_shape(preprocess)))
    except (Exception, SystemExit):  # noqa: BLE001 - the user's code can raise anything
        return False
    return True


def _refuse_several_inputs(module: nn.Module, where: str) -> None:
    """EK203 where the forward cannot be called with one image."""
    try:
        parameters = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):  # TorchScript and other callables that do not say
        return
    needed = [one.name for one in parameters if one.default is one.empty and one.kind not in VARIADIC]
    if len(needed) > 1:
        raise EdgekitError(
            "EK203",
            what=f"the model takes {len(needed)} inputs ({', '.join(needed)}), and a file of edgekit takes one image",
            where=where,
            fix="wrap it in a module whose forward takes one image and makes the others: constants, or channels of it",
        )
