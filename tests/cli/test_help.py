"""Help texts, word for word: the command line is a contract, and a changed option shows in a review.

`pytest tests/cli/test_help.py --update-golden` rewrites tests/cli/golden/.
"""

from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command

from edgekit.cli import app, main

GOLDEN = Path(__file__).parent / "golden"
COMMANDS = sorted(get_command(app).commands)
PAGES = {"edgekit": ["--help"], **{command: [command, "--help"] for command in COMMANDS}}
"""Golden file -> arguments."""


def help_text(arguments, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return "\n".join(line.rstrip() for line in printed.out.rstrip().splitlines()) + "\n"


@pytest.mark.parametrize("name", PAGES)
def test_the_help_is_the_golden_text(name, monkeypatch, capsys, update_golden):
    text = help_text(PAGES[name], monkeypatch, capsys)
    path = GOLDEN / f"{name}.txt"
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), "run: pytest tests/cli/test_help.py --update-golden"
    assert text == path.read_text(encoding="utf-8")


def test_there_is_no_golden_text_of_a_command_that_is_gone():
    assert {path.stem for path in GOLDEN.glob("*")} == PAGES.keys()


def test_the_version_is_that_of_the_distribution(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"edgekit {version('edgekit')}\n"


def test_the_help_names_every_command(monkeypatch, capsys):
    text = help_text(["--help"], monkeypatch, capsys)
    assert all(f"\n  {command} " in text for command in COMMANDS)


def test_no_arguments_show_the_help(monkeypatch, capsys):
    assert help_text([], monkeypatch, capsys) == help_text(["--help"], monkeypatch, capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_short_option_shows_the_same_help(command, monkeypatch, capsys):
    assert help_text([command, "-h"], monkeypatch, capsys) == help_text([command, "--help"], monkeypatch, capsys)


@pytest.mark.parametrize("name", PAGES)
def test_help_fits_the_width_and_explains_what_it_lists(name, monkeypatch, capsys):
    lines = help_text(PAGES[name], monkeypatch, capsys).splitlines()
    assert max(map(len, lines)) <= 110
    assert lines[0].startswith(f"Usage: edgekit {'' if name == 'edgekit' else name}")
