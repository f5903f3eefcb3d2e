"""How the command line speaks: one JSON document on stdout, or text; errors and progress on stderr."""

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import typer

from edgekit.errors import EdgekitError, error_document
from edgekit.printable import printable


def print_json(document: dict[str, Any]) -> None:
    """One document on stdout; in ASCII where a name in it is no text that the stream can write."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = json.dumps(document, indent=2)
    print(text)


@contextlib.contextmanager
def only_json_on_stdout(as_json: bool) -> Iterator[None]:
    """With --json, whatever a library prints goes to stderr, so that stdout holds one document."""
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield


def show_error(error: EdgekitError, as_json: bool) -> None:
    """One line that says what, where and how to fix, then the error's table."""
    if as_json:
        print_json({"error": error_document(error)})
        return
    code = typer.style(error.code, fg=typer.colors.RED, bold=True)
    fix = typer.style("fix:", bold=True)
    what, where, advice = map(printable, (error.what, error.where, error.fix))
    typer.echo(f"{code} {what} [{where}] {fix} {advice}", err=True)
    if error.table:
        for line in error.table.lines():
            typer.echo(f"  {printable(line)}", err=True)


def show_usage_error(error: Exception, as_json: bool) -> None:
    """A mistyped command or option: the parser's own message, which names near misses."""
    message = " ".join(error.format_message().split()) if hasattr(error, "format_message") else str(error)
    if as_json:
        document = {"code": "usage", "what": message, "where": "command line", "fix": "edgekit COMMAND --help"}
        print_json({"error": {**document, "rows": [], "exit_code": 2}})
        return
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "edgekit"
    typer.echo(
        f"{typer.style('usage', fg=typer.colors.RED, bold=True)} {printable(message)} Try: {command} --help", err=True
    )
