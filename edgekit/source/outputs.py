"""What each output of a model means: decided here, once, for everything that compares, labels or reports outputs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.target import Meaning

SCORES = re.compile(r"score|logit|prob|class|cls", re.IGNORECASE)
"""What names of score outputs have in common."""


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output of a model.

    Args:
        shape: for one image, axes in ONNX order.
        meaning: "scores" for the scores of classes, which one output has at most.
    """

    name: str
    shape: tuple[int, ...]
    meaning: Meaning

    @property
    def classes(self) -> int | None:
        return self.shape[1] if self.meaning == "scores" else None


def describe_outputs(shapes: Mapping[str, tuple[int, ...]]) -> tuple[OutputSpec, ...]:
    """The outputs with their meaning.

    Scores are one number per class and nothing else: [1, classes], two classes or more, with any number of trailing
    ones. Where several outputs look like that, it is the one whose name says so, else the first: a detector's four
    offsets behind its two scores look like four classes.
    """
    alike = [name for name, shape in shapes.items() if holds_classes(shape)]
    scores = next((name for name in alike if SCORES.search(name)), alike[0] if alike else None)
    return tuple(
        OutputSpec(name, tuple(shape), "scores" if name == scores else "values") for name, shape in shapes.items()
    )


def holds_classes(shape: tuple[int, ...]) -> bool:
    """Whether an output can be the scores of classes."""
    return len(shape) >= 2 and shape[0] == 1 and shape[1] > 1 and all(size == 1 for size in shape[2:])
