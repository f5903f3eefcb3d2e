"""Names are shown on one line and steer nothing."""

import pytest
from rich.console import Console

from edgekit.artifact import Hop, OutputParity
from edgekit.cli.output import print_json, show_error
from edgekit.devices.device import printable as from_a_device
from edgekit.errors import EdgekitError, Table
from edgekit.printable import printable, shortened
from edgekit.report.terminal import hop_cells, print_table

HOSTILE = {
    "a\nb": "a?b",
    "\r\x1b[2J\x07": "??[2J?",
    "safe\u202egnp.exe": "safe?gnp.exe",
    "\u2066x\u2069\u200b": "?x??",
    "line\u2028end\u2029": "line?end?",
    "m\udcff.onnx": "m?.onnx",
    "\x9b31m\x7f": "?31m?",
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items())
def test_what_would_steer_a_terminal_is_a_question_mark(text, shown):
    assert printable(text) == from_a_device(text) == shown


@pytest.mark.parametrize("text", ["plain", "é, emu", "日本語", "a b", "no break", "[/red]", "\ue000"])
def test_other_text_stays(text):
    assert printable(text) == text


@pytest.mark.parametrize("name", HOSTILE)
def test_an_error_is_one_line_and_its_table_has_one_line_a_row(name, capsys):
    error = EdgekitError("EK108", what=name, where=name, fix=name, table=Table(("name",), ((name,),)))
    show_error(error, as_json=False)
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 3
    assert not any(set(HOSTILE) & {line} or "\x1b[2J" in line for line in shown.splitlines())
    assert HOSTILE[name] in shown


@pytest.mark.parametrize("name", ["[/red]", "[bold]x", "x[/]"])
def test_a_name_is_no_markup(name, capsys):
    print_table(("name",), [(name,)])
    assert name in capsys.readouterr().out


def test_a_table_of_hops_shows_names_as_they_are(capsys):
    hop = Hop("a[/x]\x1b", "b\n::error::", (OutputParity("o", 0.0, 1.0, 1.0, 100.0, gate="g"),))
    Console().print(*hop_cells(hop, "t", several=False))
    shown = capsys.readouterr().out
    assert "b?::error:: -> a[/x]?" in shown


def test_a_document_is_json_whatever_is_in_its_names(capfd):
    import json

    document = {"name": "m\udcff", "é": "日本"}
    print_json(document)
    assert json.loads(capfd.readouterr().out) == document


def test_a_long_name_leaves_a_table_its_width():
    assert shortened("name") == "name"
    assert shortened("a" * 60) == "a" * 60
    name = shortened("a" * 150 + "b" * 150)
    assert (len(name), name[0], name[-1]) == (60, "a", "b")
    assert "aa...b" in name
