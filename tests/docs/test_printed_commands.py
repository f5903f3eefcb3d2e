"""Every command that a document prints or a fix names exists, with every option that stands there."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from edgekit.cli import app, main

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = [path for folder in ("edgekit", "targets", "models") for path in sorted((ROOT / folder).rglob("*.py"))]
COMMAND = re.compile(r"edgekit [a-z]")


def commands_of(text: str) -> Iterator[str]:
    """Commands in a document: lines of their own and in backticks, comments left out, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", text)
    fenced = False
    for line in joined.splitlines():
        fenced ^= line.lstrip().startswith("```")
        found = re.fullmatch(r"\s*(?:- )?(?:run: )?(?:\$ )?((?:[A-Z_]+=\S+ )*edgekit [a-z].*)", line)
        if found and (fenced or line.startswith("    ")):
            yield found[1].split(" # ")[0].strip()
        else:
            yield from (quoted for quoted in re.findall(r"`([^`]+)`", line) if COMMAND.match(quoted))


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


PRINTED = [(path.relative_to(ROOT).as_posix(), line) for path in DOCUMENTS for line in commands_of(path.read_text())]
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


@pytest.mark.parametrize(
    "line", ["models", "models mobilenet_v3_small", "targets", "doctor", "explain EK301", "devices"]
)
def test_commands_without_a_bundle_run_as_printed(line, capsys):
    assert main(line.split()) == 0
    assert capsys.readouterr().out
