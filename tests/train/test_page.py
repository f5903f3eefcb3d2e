"""The page of a run: its curves, at any number of epochs, and nothing from elsewhere."""

from xml.etree import ElementTree

import pytest

from edgekit.train.page import Curve, plot, render


def rows(count, measured=True):
    return [
        {
            "epoch": epoch,
            "loss": 2.0 / epoch,
            "figure": 10.0 * epoch if measured else None,
            "rate": 0.003 / epoch,
            "size": "64x64",
            "images_per_s": 100.0,
            "seconds": 9.0,
            "computing": 0.97,
        }
        for epoch in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_there_is_a_page_after_every_epoch(count):
    html = render("net", rows(count), 100, {"classes": "a, <b>"}, {"epochs": "100"}, [], 0.5).decode()
    assert html.count("<svg") == (4 if count else 0)
    assert f"{count} of 100 epochs" in html or count == 100
    assert "a, &lt;b&gt;" in html
    assert "src=" not in html
    assert "href" not in html


def test_what_was_not_measured_is_not_drawn():
    html = render("net", rows(3, measured=False), 3, {}, {}, [("x.png", "not an image")], None).decode()
    assert html.count("<svg") == 3
    assert "x.png" in html


def points(svg):
    text = svg.split("points='")[1].split("'")[0]
    return [tuple(map(float, point.split(","))) for point in text.split()]


def test_a_curve_falls_where_the_figure_falls_and_stays_inside():
    found = points(plot(Curve("loss", [3.0, 2.0, 1.0, 1.0], 0.5)))
    assert [x for x, _ in found] == sorted(x for x, _ in found)
    assert [y for _, y in found] == sorted(y for _, y in found)  # SVG counts downwards
    assert all(0 <= x <= 720 and 0 <= y <= 240 for x, y in found)


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [1.0, float("nan"), 2.0], [None, None], [5, None, 6]])
def test_odd_series_are_drawn_or_left_out(values):
    assert "nan" not in plot(Curve("loss", values)).lower()


def test_the_drawing_is_sound_markup():
    svg = plot(Curve("loss", [1.0, 2.0], 0.5)).replace(" role=img", "")
    inner = svg[svg.index("<polyline") : svg.index("<circle")]
    assert ElementTree.fromstring(inner).tag == "polyline"
