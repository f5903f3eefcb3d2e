"""The hops of one export: which outputs are compared with which, and under what gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import pairwise

from edgekit.artifact import Hop
from edgekit.target import Outputs, Tolerance
from edgekit.verify.parity import NO_STEPS, compare

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


def measure_hops(
    stages: Sequence[Checked], scores: str | None, steps: Mapping[str, float] = NO_STEPS
) -> tuple[Hop, ...]:
    """Each stage against the stage before, under its own gate.

    Args:
        stages: in pipeline order, the float reference first.
        scores: which output holds the scores of classes, if one does.
        steps: output -> fixed step of the kernel that writes it.
    """
    return tuple(
        compare(
            before.outputs,
            after.outputs,
            name=after.name,
            reference_name=before.name,
            tolerance=after.gate,
            scores=scores,
            steps=steps,
        )
        for before, after in pairwise(stages)
    )


def end_to_end(
    stages: Sequence[Checked], scores: str | None, steps: Mapping[str, float] = NO_STEPS, inputs: str = ""
) -> tuple[Hop, ...]:
    """The last stage against the first; nothing where that is a hop already.

    The gate is the last one's, or as loose as that of a step on the way which was meant to cost something.

    Args:
        inputs: what the first and the last stage were run on, where that is not what the others were.
    """
    first, last = stages[0], stages[-1]
    if len(stages) < 3:
        return ()
    gate = reduce(looser, (stage.gate for stage in stages[1:] if stage.gate != GRAPH_TOLERANCE), last.gate)
    whole = compare(
        first.outputs,
        last.outputs,
        name="end to end",
        reference_name=first.name,
        tolerance=gate,
        scores=scores,
        steps=steps,
    )
    return (replace(whole, inputs=inputs),)


def looser(first: Tolerance, second: Tolerance) -> Tolerance:
    """What holds behind both steps: the lower floors, and a bound on the error only where both have one."""
    floors = {
        key: min((value for gate in (first, second) if (value := getattr(gate, key)) is not None), default=None)
        for key in ("min_sqnr_db", "min_agreement")
    }
    bounded = first.max_abs is not None and second.max_abs is not None
    return Tolerance(max_abs=max(first.max_abs or 0.0, second.max_abs or 0.0) if bounded else None, **floors)
