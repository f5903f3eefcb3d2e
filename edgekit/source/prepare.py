"""The slot before the trace: what changes a module on purpose, with a hop of its own.

Pruning, low rank and re-parameterization go through here. The change costs accuracy, so it is measured and gated first
(`original -> prepared`), and the original stays the reference of the end-to-end hop.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import nn

from edgekit.errors import EdgekitError
from edgekit.source import Source
from edgekit.source.input_size import run_on_zeros
from edgekit.target import Tolerance

LOSSY = Tolerance(min_sqnr_db=10.0, min_agreement=0.85)
"""The floor of the integer targets: below it a change is broken, not lossy."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """A change of a module.

    Args:
        name: for the manifest and the report ("prune").
        prepare: `prepare(module) -> module`; it is given a copy, and may return that.
        gate: of the hop `original -> prepared`.
    """

    name: str
    prepare: Callable[[nn.Module], nn.Module] = field(repr=False)
    gate: Tolerance = LOSSY


def prepare(source: Source, preparation: Preparation) -> Source:
    """The source with its module changed; the source's own module stays as it is.

    Raises:
        EdgekitError: EK302 for a source without a module; EK201 where what comes back cannot stand in for the original.
    """
    if source.module is None:
        raise EdgekitError(
            "EK302",
            what=f"{preparation.name!r} changes a PyTorch module, and {source.name} is a graph",
            where=source.name,
            fix="start from the PyTorch model",
        )
    module = preparation.prepare(copy.deepcopy(source.module))
    if not isinstance(module, nn.Module):
        raise _not_the_same(preparation, source, f"returned {type(module).__name__}, not an nn.Module")
    module = module.eval()
    outputs = run_on_zeros(module, source.input_shape, f"{source.name} behind {preparation.name!r}")
    if outputs != source.outputs:
        raise _not_the_same(preparation, source, "gives outputs of other names or shapes")
    return replace(source, module=module)


def _not_the_same(preparation: Preparation, source: Source, what: str) -> EdgekitError:
    return EdgekitError(
        "EK201",
        what=f"the preparation {preparation.name!r} {what}",
        where=source.name,
        fix="return a module that takes the same input and gives the same outputs",
    )
