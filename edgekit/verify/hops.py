"""The hops of one export: which outputs are compared with which, and under what gate."""

from collections.abc import Mapping
from itertools import pairwise

from edgekit.artifact import Hop, ParityReport
from edgekit.target import FloatArray, Tolerance
from edgekit.verify.parity import compare

# Tracing and simplifying change no number but by float rounding: 1e-4 of the outputs' range, whatever the target.
GRAPH_TOLERANCE = Tolerance(max_abs=1e-4)


def measure_hops(
    outputs: Mapping[str, FloatArray],
    tolerance: Tolerance,
    *,
    images: int,
    inputs: str,
    exact: int = 3,
    scores: bool = True,
) -> ParityReport:
    """Compare each stage's outputs with the stage before, then the last with the first.

    Args:
        outputs: stage name -> f32[n, k], in pipeline order, the float reference first and the file last.
        tolerance: the target's gate: of quantization, of the file, and end to end.
        exact: how many of the first stages must be equal but for float rounding.
        scores: whether the k numbers are the scores of classes.
    """
    names = list(outputs)
    hops: list[Hop] = []

    def hop(before: str, after: str, name: str, gate: Tolerance) -> Hop:
        return compare(outputs[before], outputs[after], name=name, reference_name=before, tolerance=gate, scores=scores)

    for position, (before, after) in enumerate(pairwise(names), start=1):
        gate = GRAPH_TOLERANCE if position < exact else tolerance
        hops.append(hop(before, after, after, gate))
    if len(names) > 2:
        hops.append(hop(names[0], names[-1], "end to end", tolerance))
    return ParityReport(tuple(hops), images, inputs)
