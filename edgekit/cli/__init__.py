"""The command line: `edgekit COMMAND`. Exit codes: 0 ok, 1 a gate failed, 2 usage, 3 environment or device.

Commands import the pipeline inside their functions, so that `edgekit --help` loads neither torch nor onnxruntime.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from edgekit.cli.output import show_error, show_usage_error
from edgekit.errors import EdgekitError

INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for Ctrl-C
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
    try:
        code = app(given or ["--help"], standalone_mode=False, prog_name="edgekit")
    except EdgekitError as error:
        show_error(error, as_json)
        return error.exit_code
    except ClickException as error:
        show_usage_error(error, as_json)
        return 2
    except SystemExit:  # Click's answer to a closed pipe, with the code of a failed gate
        return BROKEN_PIPE
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        print("edgekit: interrupted; no half-written bundle is left", file=sys.stderr)
    return code if isinstance(code, int) else 0


# Importing a command module registers its commands on `app`; the order is the order of `edgekit --help`.
from edgekit.cli import export, check, diagnose, devices, bench, android, train, models, catalogue  # noqa: E402, F401, I001
