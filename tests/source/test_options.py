"""Options of zoo builders: what a user is told of them, and what is made of the values that are given."""

from typing import Literal

import pytest

from edgekit.errors import EdgekitError
from edgekit.registry import models
from edgekit.source.options import check_options, options_of


def make(num_classes: int = 10, width: float = 1.0, depth: int | None = None, wide: bool = False, plain=3) -> None:
    """A network.

    Args:
        width: multiplier of the
            channels.
        depth: layers.
    """


def choose(kind: Literal["a", "b"] = "a") -> None:
    """Either."""


def test_an_option_is_told_by_what_it_takes_its_default_and_the_docstring():
    width, depth, wide, plain = options_of(make)
    assert (width.name, width.takes, width.default, width.meaning) == (
        "width",
        "a number",
        1.0,
        "multiplier of the channels.",
    )
    assert (depth.takes, depth.default) == ("a whole number", None)
    assert (wide.takes, plain.takes) == ("true or false", "any value")
    assert options_of(choose)[0].takes == "one of a, b"


@pytest.mark.parametrize("name", models.names())
def test_every_option_in_the_zoo_says_what_it_means(name):
    assert all(option.meaning and option.takes != "any value" for option in options_of(models.get(name).build))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"wide": "no"}, {"wide": False}),
        ({"wide": "False"}, {"wide": False}),
        ({"wide": "on"}, {"wide": True}),
        ({"width": 2}, {"width": 2.0}),
        ({"width": ".5"}, {"width": 0.5}),
        ({"depth": 3.0}, {"depth": 3}),
        ({"plain": "x"}, {"plain": "x"}),
    ],
)
def test_a_value_is_read_as_the_builders_type(given, wanted):
    assert check_options(make, given, "net") == wanted


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"wide": 2}, "wide of net is 2, it must be true or false"),
        ({"wide": "perhaps"}, "wide of net is 'perhaps', it must be true or false"),
        ({"width": "b3"}, "width of net is 'b3', it must be a number"),
        ({"width": float("inf")}, "width of net is inf, it must be a number"),
        ({"width": float("nan")}, "width of net is nan, it must be a number"),
        ({"depth": 2.5}, "depth of net is 2.5, it must be a whole number"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_the_option_takes(given, what):
    with pytest.raises(EdgekitError) as refused:
        check_options(make, given, "net")
    assert (refused.value.code, refused.value.what) == ("EK106", what)


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("widht", "did you mean width or wide? options it takes: width, depth, wide, plain"),
        ("size", "options it takes: width, depth, wide, plain"),
        ("num_classes", "give the number of classes as --num-classes"),
    ],
)
def test_an_unknown_option_gets_a_near_miss_or_all_there_are(name, fix):
    with pytest.raises(EdgekitError) as refused:
        check_options(make, {name: 1}, "net")
    assert (refused.value.code, refused.value.fix) == ("EK106", fix)
