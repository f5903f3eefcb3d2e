"""Module -> ExportedProgram, and what to say when torch.export refuses."""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import TracebackType

import torch
from torch import nn
from torch.export import ExportedProgram

from edgekit.errors import EdgekitError
from edgekit.trace.outputs import Flattened, is_flat, named_tensors
from edgekit.trace.state import unchanged

REASON_LENGTH = 240


def capture(module: nn.Module, input_shape: tuple[int, ...]) -> ExportedProgram:
    """Capture `module` in eval mode at one static input shape.

    A module that holds an exported program was captured already.

    strict=False runs the module's own Python under fake tensors: no bytecode analysis, so it is quicker and refuses
    less.

    Raises:
        EdgekitError: EK203 when the module cannot run at this shape even untraced, EK201 when only tracing fails.
    """
    already = program_of(module)
    if already is not None:
        return already
    example = blank(input_shape)
    try:
        with unchanged(module), _quiet_refusal():
            return torch.export.export(_flat(module, example), (example,), strict=False)
    except Exception as refused:  # the user's own forward, which torch.export runs, may raise anything
        _require_runs(module, example)
        raise EdgekitError(
            "EK201",
            what=f"torch.export refused the model: {one_line(refused)}",
            where=failing_module(refused, module) or type(module).__name__,
            fix="make the control flow independent of the data (torch.where, torch.cond), or export the model to ONNX "
            "yourself and give edgekit the .onnx file",
        ) from refused


def _flat(module: nn.Module, example: torch.Tensor) -> nn.Module:
    """The module, flattened where torch.export would not take its result, or order it another way."""
    with unchanged(module), torch.no_grad():
        return module if is_flat(module(example)) else Flattened(module)


def output_names(module: nn.Module, input_shape: tuple[int, ...]) -> list[str]:
    """Names of what a module that was captured gives."""
    with unchanged(module), torch.no_grad():
        return list(named_tensors(module(blank(input_shape))))


def blank(input_shape: tuple[int, ...]) -> torch.Tensor:
    """An image of zeros.

    Raises:
        EdgekitError: EK203 for sizes that no tensor has.
    """
    try:
        return torch.zeros(input_shape)
    except (RuntimeError, TypeError, ValueError) as failed:
        raise EdgekitError(
            "EK203",
            what=f"there is no input of {'x'.join(map(str, input_shape))}: {one_line(failed)}",
            where="the input's shape",
            fix="choose a size that the model takes with --input-size HxW",
        ) from failed


def program_of(module: nn.Module) -> ExportedProgram | None:
    """The program that a module holds as its `exported_program` (a .pt2 file), if it does."""
    already = getattr(module, "exported_program", None)
    return already if isinstance(already, ExportedProgram) else None


def require_eval(module: nn.Module) -> None:
    """EK201 for a module that would update its statistics and drop activations."""
    if module.training and program_of(module) is None:
        raise EdgekitError(
            "EK201",
            what="the model is in training mode",
            where=type(module).__name__,
            fix="call .eval() before it is traced",
        )


@contextmanager
def _quiet_refusal() -> Iterator[None]:
    """Drop what torch prints before it refuses: the graph so far, twice, and a log line. Our error says what matters.

    What is printed on the way to success is passed on.
    """
    said, log = io.StringIO(), logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with redirect_stderr(said), redirect_stdout(said):
            yield
    finally:
        log.setLevel(level)
    sys.stderr.write(said.getvalue())


def _require_runs(module: nn.Module, example: torch.Tensor) -> None:
    """Tell an input that does not fit (EK203) from a module that does not trace."""
    try:
        with unchanged(module):
            module(example)
    except Exception as failed:  # the user's code can raise anything
        shape = "x".join(map(str, example.shape))
        raise EdgekitError(
            "EK203",
            what=f"the model cannot run on an input of {shape}: {one_line(failed)}",
            where=failing_module(failed, module) or type(module).__name__,
            fix="choose a size that the model takes with --input-size HxW",
        ) from failed


def one_line(error: BaseException) -> str:
    """The first line of an error's message that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= REASON_LENGTH else text[: REASON_LENGTH - 3] + "..."


def failing_module(error: BaseException, root: nn.Module) -> str:
    """Path of the innermost submodule of `root` whose forward was running when `error` was raised, or ''."""
    paths = {id(part): path for path, part in root.named_modules()}
    found = ""
    cause: BaseException | None = error
    while cause is not None:
        found = _innermost(cause.__traceback__, paths) or found
        cause = cause.__cause__ or cause.__context__
    return found


def _innermost(frame: TracebackType | None, paths: dict[int, str]) -> str:
    path = ""
    while frame is not None:
        path = paths.get(id(frame.tb_frame.f_locals.get("self")), path)
        frame = frame.tb_next
    return path
