"""Plots: round figures on the axes, names that are escaped, a front that is drawn."""

import pytest

from edgekit.report.plot import Dot, Line, line_page, page, round_ticks, scatter


@pytest.mark.parametrize(
    ("figures", "ticks"),
    [
        ([0, 100], [0, 20, 40, 60, 80, 100]),
        ([0.97, 1.91], [0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0]),
        ([-3, 12.2], [-5, 0, 5, 10, 15]),
        ([5], [5, 6]),
        ([0], [0, 0.2]),
    ],
)
def test_axes_have_round_figures_around_what_is_drawn(figures, ticks):
    assert round_ticks(figures) == pytest.approx(ticks)


def test_the_points_of_the_front_are_joined_in_order():
    drawn = scatter(("cost", "quality"), [Dot("b", 2, 5, True), Dot("a", 1, 1, True), Dot("c", 2, 1)])
    assert drawn.count("<circle class=dot") == 2
    assert drawn.count("<circle class=worst") == 1
    [points] = [part.split("'")[1] for part in drawn.split("<polyline")[1:] for part in [part.split("points=")[1]]]
    across = [float(point.split(",")[0]) for point in points.split()]
    assert across == sorted(across)


def test_names_are_text():
    drawn = line_page("<b>", "x", ("a", "b"), [Line("<script>", [(0, 1), (1, 2)])])
    assert "<script>" not in drawn
    assert "<b>" not in drawn
    assert page("t", "s").startswith("<!doctype html>")
