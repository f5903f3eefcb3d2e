"""The command line: `edgekit COMMAND`. Exit codes: 0 ok, 1 a gate failed, 2 usage, 3 environment or device.

Commands import the pipeline inside their functions, so that `edgekit --help` loads neither torch nor onnxruntime.
"""

import logging
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from errno import EDQUOT, EFBIG, ENOSPC, EROFS
from importlib.metadata import version
from typing import Annotated

import typer

from edgekit.cli.output import show_error, show_usage_error
from edgekit.errors import EdgekitError

INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for Ctrl-C
INTERRUPTION = "edgekit: interrupted; no half-written bundle is left"
UNMAPPED = re.compile("failed to map segment|cannot allocate memory", re.IGNORECASE)
"""The dynamic loader's words for a library that does not fit into the memory that is left."""
FULL = frozenset((EDQUOT, EFBIG, ENOSPC, EROFS))
# 128 + SIGPIPE: the reader went away, as in `edgekit models | head`; what was not finished is no success.
BROKEN_PIPE = 141

# Typer's own name for "the user typed something wrong" moved between versions; its base class is always this one.
ClickException: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    name="edgekit",
    help="Take a trained PyTorch vision model to a file that is proven to run on a phone or a Raspberry Pi.",
    epilog="Exit codes: 0 ok, 1 a gate failed, 2 usage, 3 environment. Errors are explained by: edgekit explain EKnnn",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def print_version(asked: bool) -> None:
    if asked:
        print(f"edgekit {version('edgekit')}")
        raise typer.Exit


@app.callback()
def options(
    asked: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every expected failure is one message on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    logging.getLogger("onnx_ir").setLevel(logging.CRITICAL)  # it logs tracebacks of what is told as one message
    try:
        code = app(given or ["--help"], standalone_mode=False, prog_name="edgekit")
        sys.stdout.flush()  # what cannot be written is told here, not at the end of the process
    except ClickException as error:
        with suppress(OSError):
            show_usage_error(error, as_json)
        return 2
    except (SystemExit, BrokenPipeError):  # SystemExit: Click's answer to a closed pipe, with the code of a failed gate
        return BROKEN_PIPE
    except (EdgekitError, OSError, MemoryError, ImportError, typer.Abort, KeyboardInterrupt) as error:
        return tell(error, as_json)
    if code == INTERRUPTED:
        print(INTERRUPTION, file=sys.stderr)
    return code if isinstance(code, int) else 0


def tell(error: BaseException, as_json: bool) -> int:
    """Show what ended the command as one message; returns the exit code."""
    failure = failure_of(error)
    if failure is None:
        with suppress(OSError):
            print(INTERRUPTION, file=sys.stderr)
        return INTERRUPTED
    try:
        show_error(failure, as_json)
        sys.stdout.flush()
    except OSError:  # stdout takes nothing, perhaps because that is the failure
        with suppress(OSError):  # neither does stderr; the exit code still says it
            show_error(failure, as_json=False)
    return failure.exit_code


def failure_of(error: BaseException) -> EdgekitError | None:
    """What ended a command, in the user's words; None where the user interrupted it."""
    if isinstance(error, EdgekitError):
        return error
    if isinstance(error, OSError):
        return of_the_system(error)
    if isinstance(error, MemoryError) or (isinstance(error, ImportError) and UNMAPPED.search(str(error))):
        fix = "a smaller input size or fewer images need less; or end other programs"
        return EdgekitError("EK704", what="there is not enough memory", where="this host", fix=fix)
    if isinstance(error, ImportError):
        raise error  # a package that is missing though edgekit needs it: nothing that a user can mend
    if isinstance(error.__cause__, EOFError):  # Click takes it for the end of what the user types
        fix = "the file is truncated; copy or download it again"
        return EdgekitError("EK102", what="a file ends too early", where="the files given", fix=fix)
    return None


def of_the_system(error: OSError) -> EdgekitError:
    """An OSError that nobody expected where it happened: a full disk, missing rights, a name that is too long."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        fix = "free some space where stdout goes, or leave the redirection out"
        return EdgekitError("EK702", what=f"cannot write: {reason}", where="standard output", fix=fix)
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    if error.errno in FULL:
        fix = "free some space, or choose another folder (--out, or EDGEKIT_CACHE for the cache)"
        return EdgekitError("EK702", what=f"cannot write: {reason}", where=where, fix=fix)
    return EdgekitError("EK102", what=f"cannot be used: {reason}", where=where, fix="check the path and its rights")


# Importing a command module registers its commands on `app`; the order is the order of `edgekit --help`.
from edgekit.cli import export, compress, check, diagnose, devices, bench, profile  # noqa: E402, F401, I001
from edgekit.cli import android, train, sweep, models, catalogue  # noqa: E402, F401
