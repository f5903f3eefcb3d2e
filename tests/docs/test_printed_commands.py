"""Every command that a document prints or a fix names exists, with every option that stands there."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from printed import COMMANDS, ROOT

from edgekit.cli import app

SOURCES = [path for folder in ("edgekit", "targets", "models") for path in sorted((ROOT / folder).rglob("*.py"))]


def fixes_of(path: Path) -> Iterator[str]:
    """Strings of a source file that name a command after a colon: "...: edgekit export MODEL --target T"."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "<" not in node.value:
            yield from re.findall(r": (edgekit [a-z][^;()<\n]*)", node.value)


def resolved(words):
    """The command that the words name, and the words behind its name."""
    command = typer.main.get_command(app)
    rest = words[1:]
    while hasattr(command, "commands"):
        if not rest or rest[0].startswith("-"):
            break
        if rest[0] not in command.commands and hasattr(command, "default"):  # `edgekit sweep FILE.toml`
            return command.commands[command.default], rest
        assert rest[0] in list(command.commands), f"no command {rest[0]} in: {' '.join(words)}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def check(line: str) -> None:
    words = shlex.split(line, comments=True)
    while "=" in words[0]:
        words = words[1:]
    command, rest = resolved(words)
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.split("=")[0] for word in rest if word.startswith("-") and not re.fullmatch(r"-?\d.*|-", word)}
    unknown = given - known - {"--help", "-h"}
    assert not unknown, f"{command.name} has no {', '.join(sorted(unknown))}: {line}"


PRINTED = [(command.document, command.line) for command in COMMANDS if command.line.startswith("edgekit ")]
FIXES = [(path.relative_to(ROOT).as_posix(), line) for path in SOURCES for line in fixes_of(path)]


def test_commands_are_found():
    assert len(PRINTED) > 35
    assert len(FIXES) > 5
    assert "README.md" in {name for name, _ in PRINTED}


@pytest.mark.parametrize(("document", "line"), PRINTED)
def test_a_printed_command_exists_with_its_options(document, line):
    check(line)


@pytest.mark.parametrize(("source", "line"), FIXES)
def test_a_command_that_a_fix_names_exists_with_its_options(source, line):
    check(line.rstrip(".,"))


@pytest.mark.parametrize(
    "line", ["edgekit exprot net", "edgekit export net --taget tflite-int8", "edgekit verify --samples 3"]
)
def test_a_command_that_there_is_not_is_told(line):
    with pytest.raises(AssertionError):
        check(line)
