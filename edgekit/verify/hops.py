"""The hops of one export: which outputs are compared with which, and under what gate."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from edgekit.artifact import Hop
from edgekit.target import Outputs, Tolerance
from edgekit.verify.parity import compare

# Tracing and simplifying change no number but by float rounding: 1e-4 of the outputs' range, whatever the target.
GRAPH_TOLERANCE = Tolerance(max_abs=1e-4)


@dataclass(frozen=True, slots=True)
class Checked:
    """What one stage gives on the parity inputs.

    Args:
        gate: of the step that led to it; of no account for the first.
    """

    name: str
    outputs: Outputs = field(repr=False)
    gate: Tolerance = GRAPH_TOLERANCE


def measure_hops(stages: Sequence[Checked], scores: str | None) -> tuple[Hop, ...]:
    """Each stage against the stage before, under its own gate.

    Args:
        stages: in pipeline order, the float reference first.
        scores: which output holds the scores of classes, if one does.
    """
    return tuple(
        compare(
            before.outputs,
            after.outputs,
            name=after.name,
            reference_name=before.name,
            tolerance=after.gate,
            scores=scores,
        )
        for before, after in pairwise(stages)
    )


def end_to_end(stages: Sequence[Checked], scores: str | None) -> tuple[Hop, ...]:
    """The last stage against the first, under the last one's gate; nothing where that is a hop already."""
    first, last = stages[0], stages[-1]
    if len(stages) < 3:
        return ()
    whole = compare(
        first.outputs, last.outputs, name="end to end", reference_name=first.name, tolerance=last.gate, scores=scores
    )
    return (whole,)
