"""What each output of a model means."""

import pytest

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
