"""How a Run shows itself in a REPL and in a notebook."""

from html.parser import HTMLParser

import pytest
import torch
from torch import nn

import edgekit
from edgekit.report.style import CSS, DARK, LIGHT


class Net(nn.Module):
    """Scores, and differences of large maps, which eight bits hold nothing of."""

    def __init__(self):
        super().__init__()
        self.large = nn.Conv2d(3, 8, 3, padding=1)
        self.small = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 10)

    def forward(self, images):
        high = 4 * torch.relu(self.norm(self.large(images)))
        low = high + 0.01 * torch.tanh(self.small(images))
        return {"scores": self.head(5 * high.mean((2, 3))), "offsets": torch.sigmoid(low) - torch.sigmoid(high)}


class Angles(nn.Module):
    """Has no rule in TFLite."""

    def forward(self, images):
        return torch.atan(images)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One target that passed and one whose gate failed, in a folder whose name is HTML."""
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("build") / "<b>&"
    return edgekit.export(Net(), target=["ort-fp32", "tflite-int8"], input_size=16, samples=16, out=out)


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    out = tmp_path_factory.mktemp("build")
    return edgekit.export(Angles(), target=["tflite-fp32"], input_size=8, out=out)


class Page(HTMLParser):
    """The text of each table's rows, and the tags that were left open."""

    EMPTY = ("meta", "br", "hr", "img")

    def __init__(self, html):
        super().__init__()
        self.open, self.rows, self.attributes = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.attributes += attributes
        self.open += [tag] if tag not in self.EMPTY else []
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "tr" in self.open:
            self.rows[-1][-1] += data


def test_a_repl_shows_a_line_per_target(run):
    head, passed, failed = repr(run).splitlines()
    assert head == "Run of net, 1x3x16x16"
    assert passed.split()[:2] == ["ort-fp32", "passed"]
    assert passed.endswith(f"  {run.bundles['ort-fp32']}")
    assert failed.split()[:2] == ["tflite-int8", "failed"]
    assert failed.endswith(f" dB (offsets)  {run.failures['tflite-int8']}")
    assert " bytes  SQNR " in failed


def test_a_refused_target_is_told_with_its_reason(refused):
    assert repr(refused).splitlines()[1].startswith("  tflite-fp32  refused  EK301 ")
    page = Page(refused._repr_html_())
    assert page.rows[-1][:2] == ["tflite-fp32", "refused"]
    assert page.rows[-1][-1].startswith("EK301 ")


def test_a_notebook_shows_the_hops_with_their_worst_output(run):
    page = Page(run._repr_html_())
    assert page.open == []
    assert page.rows[0][:2] == ["hop", "worst output"]
    hops = {row[0]: row for row in page.rows}
    assert hops["torch -> tflite-int8 (end to end)"][1] == "offsets"
    assert hops["torch -> tflite-int8 (end to end)"][-1] == "FAIL"
    assert hops["torch -> onnx"][-1] == "pass"


def test_a_notebook_shows_what_each_target_came_to(run):
    rows = Page(run._repr_html_()).rows[-2:]
    assert [row[:2] for row in rows] == [["ort-fp32", "passed"], ["tflite-int8", "failed"]]
    assert [row[-1] for row in rows] == [str(run.bundles["ort-fp32"]), str(run.failures["tflite-int8"])]
    assert rows[1][3].endswith(" dB (offsets)")


def test_the_notebooks_html_needs_nothing_else_and_styles_nothing_else(run):
    html = run._repr_html_()
    assert not {name for name, _ in Page(html).attributes} - {"class"}
    assert "http" not in html
    style = html.partition("<style>")[2].partition("</style>")[0]
    selectors = [part.rpartition("}")[2] for part in style.split("{")[:-1]]
    rules = [each.strip() for selector in selectors for each in selector.split(",") if each.strip()]
    assert [rule for rule in rules if ".edgekit" not in rule and not rule.startswith("@media")] == []


def test_the_report_and_the_notebook_have_the_same_colours(run):
    for colours in (LIGHT, DARK):
        assert colours in CSS
        assert colours in run._repr_html_()
