"""What each output of a model means."""

import pytest
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe
from edgekit.source import resolve
from edgekit.source.in_memory import in_memory
from edgekit.source.outputs import describe_outputs


def meanings(**shapes):
    return {output.name: output.meaning for output in describe_outputs(shapes)}


@pytest.mark.parametrize(
    ("shape", "classes"),
    [
        ((1, 10), 10),
        ((1, 10, 1, 1), 10),
        ((1, 8, 4, 4), None),
        ((10,), None),
        ((2, 10), None),
        ((1, 1), None),
        ((), None),
    ],
)
def test_scores_are_one_number_per_class_and_nothing_else(shape, classes):
    (output,) = describe_outputs({"output": shape})
    assert (output.classes, output.shape) == (classes, shape)


def test_scores_may_stand_anywhere_among_the_outputs():
    assert meanings(map=(1, 8, 4, 4), output_1=(1, 10)) == {"map": "values", "output_1": "scores"}


def test_of_several_that_look_like_scores_the_first_is_taken():
    assert meanings(face=(1, 2), box=(1, 4), landmarks=(1, 10)) == {
        "face": "scores",
        "box": "values",
        "landmarks": "values",
    }


@pytest.mark.parametrize("name", ["scores", "cls_logits", "Probabilities", "class_scores"])
def test_a_name_that_says_so_goes_before_the_place(name):
    assert meanings(**{"boxes": (1, 4), name: (1, 2)}) == {"boxes": "values", name: "scores"}


def test_a_name_alone_makes_no_scores():
    assert meanings(score_map=(1, 2, 8, 8)) == {"score_map": "values"}


class Cropped(nn.Module):
    """The image, and what is left of it four pixels further in."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"image": x, "inside": x[:, :, 4:-4, 4:-4]}


def test_an_output_without_a_number_is_refused_by_name():
    def source(size):
        return resolve(make_recipe(model="Cropped", targets=["ort-fp32"], input_size=size), given=in_memory(Cropped()))

    assert [output.shape for output in source(9).outputs] == [(1, 3, 9, 9), (1, 3, 1, 1)]
    with pytest.raises(EdgekitError, match="output inside is empty for an input of 1x3x8x8: 1x3x0x0") as refused:
        source(8)
    assert refused.value.code == "EK203"
