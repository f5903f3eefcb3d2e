"""The module's own outputs, and modules that give none on some image, or others each time."""

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.source.reference import module_outputs, repeats

IMAGES = np.stack([np.zeros((3, 4, 4), np.float32), np.ones((3, 4, 4), np.float32)])


class Net(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.calls, self.given = 0, forward

    def forward(self, x):
        self.calls += 1
        return self.given(self, x)


def raising(error):
    def forward(_, x):
        if x.any():
            raise error
        return x

    return forward


@pytest.mark.parametrize("error", [ValueError("too\nbright"), RuntimeError(), SystemExit(3), AssertionError("no")])
def test_an_image_that_the_forward_refuses_is_named(error):
    with pytest.raises(EdgekitError) as raised:
        module_outputs(Net(raising(error)), IMAGES)
    assert raised.value.code == "EK107"
    assert "image 2 of 2" in raised.value.what
    assert type(error).__name__ in raised.value.what
    assert "\n" not in raised.value.what


@pytest.mark.parametrize(
    "forward",
    [
        lambda _, x: (x, x) if x.any() else x,
        lambda _, x: {"a": x} if x.any() else {"b": x},
        lambda _, x: x[:, :, :2] if x.any() else x,
    ],
)
def test_outputs_that_depend_on_what_an_image_shows_are_refused(forward):
    with pytest.raises(EdgekitError) as raised:
        module_outputs(Net(forward), IMAGES)
    assert raised.value.code == "EK201"
    assert "image 2" in raised.value.what


def test_every_output_of_every_image_comes_by_name():
    outputs = module_outputs(Net(lambda _, x: {"double": 2 * x, "sum": x.sum()}), IMAGES)
    assert np.array_equal(outputs["double"], 2 * IMAGES)
    assert outputs["sum"].tolist() == [0, 48]


@pytest.mark.parametrize(
    ("forward", "expected"),
    [(lambda _, x: x * 2, True), (lambda self, x: x * self.calls, False), (lambda _, x: torch.rand_like(x), False)],
)
def test_a_module_that_keeps_or_draws_something_is_found_out(forward, expected):
    assert repeats(Net(forward), IMAGES[1]) is expected
