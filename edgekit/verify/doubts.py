"""Where the traced graph does not give what the module gives: who is to blame."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import onnx_ir as ir

from edgekit.graph.distrust import explain
from edgekit.graph.outputs import stack, take
from edgekit.graph.session import REFUSALS
from edgekit.target import FloatArray, Outputs
from edgekit.verify.hops import Checked, measure_hops


def doubts(traced: ir.Model, images: FloatArray, stages: Sequence[Checked]) -> tuple[str, ...]:
    """What of ONNX Runtime changes the result of the traced graph, in a sentence; nothing where that is not it.

    Args:
        images: f32[n, C, H, W], which `stages` were run on.
        stages: the module's outputs directly before those of the graph, which is called "onnx".
    """
    at = next((index for index, stage in enumerate(stages) if stage.name == "onnx"), 0)
    if at == 0 or measure_hops(stages[at - 1 : at + 1], None)[0].passed:
        return ()
    wanted, given = stages[at - 1].outputs, stages[at].outputs
    if {name: values.shape for name, values in wanted.items()} != {name: v.shape for name, v in given.items()}:
        return ()  # no runtime makes another shape of the same graph
    index = worst_image(wanted, given)
    reference = take(wanted, slice(index, index + 1))

    def same(found: Sequence[FloatArray]) -> bool:
        pair = Checked("module", reference), Checked("graph", stack(list(reference), [found]))
        return measure_hops(pair, None)[0].passed

    with suppress(*REFUSALS, ValueError):  # a graph over 2 GB is no protobuf: then nobody is named
        said = explain(traced, images[index : index + 1], same)
        return (said,) if said else ()
    return ()


def worst_image(wanted: Outputs, given: Outputs) -> int:
    """The image on which the outputs are furthest apart, each as a share of its range."""
    apart = [
        np.nan_to_num(np.abs(given[name] - values), nan=np.inf).reshape(len(values), -1).max(1)
        / (np.ptp(values) or 1.0)
        for name, values in wanted.items()
    ]
    return int(np.argmax(np.max(apart, axis=0)))
