"""Which bundles go: so many of each layer, or the least of the whole network."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from edgekit.compress.channels import Channels, Group
from edgekit.compress.criteria import Scores
from edgekit.errors import EdgekitError, Table, did_you_mean

LEAST_SHARE = 0.1
"""Of a layer's filters, that a global ranking leaves in it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much goes.

    Args:
        ratio: share of the filters that go, 0 to below 1; of each layer, or of all where `everywhere` is.
        layers: shell pattern of module paths -> ratio of its own, in place of `ratio`; the last that fits.
        everywhere: rank all filters of the network together.
        round_to: filters left are a multiple of it, where a layer has as many.
    """

    ratio: float = 0.0
    layers: Mapping[str, float] = field(default_factory=dict)
    everywhere: bool = False
    round_to: int = 1


def choose(channels: Channels, scores: Scores, plan: Plan, sizes: Mapping[str, int] | None = None) -> set[int]:
    """The bundles that go.

    Args:
        sizes: name of a group -> bundles that `plan` counts of, where some went before. None: those that are there.

    Raises:
        EdgekitError: EK106 for a ratio that empties a layer, or a pattern that no layer fits.
    """
    check_patterns(channels, plan.layers)
    sizes = sizes or {group.name: len(group.bundles) for group in channels.groups}
    left = _left_each(channels, plan, sizes)
    if plan.everywhere:
        left |= _left_everywhere([group for group in channels.groups if own_ratio(group, plan) is None], scores, plan)
    gone: set[int] = set()
    for group in channels.groups:
        keep = min(len(group.bundles), left[group.name])
        worst_first = sorted(group.bundles, key=lambda bundle: (scores[bundle], bundle))
        gone.update(worst_first[: len(group.bundles) - keep])
    return gone - _last_ones(channels, gone, scores)


def kept(total: int, ratio: float) -> int:
    """floor(c * (1 - p)), as Li et al. count: rounding gives other figures than the paper's."""
    return math.floor(total * (1 - ratio) + 1e-9)


def check_patterns(channels: Channels, layers: Mapping[str, float]) -> None:
    """EK106 for a pattern that fits no layer that can be pruned."""
    names = [layer.module for group in channels.groups for layer in group.layers]
    for pattern in layers:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise EdgekitError(
                "EK106",
                what=f"no layer that can lose filters fits {pattern!r}",
                where="--layer",
                fix=did_you_mean(pattern, names, f"its layers are: {', '.join(names[:8])}, ..."),
            )


def own_ratio(group: Group, plan: Plan) -> float | None:
    """The ratio of the last pattern that fits a layer of the group; None where none does."""
    fitting = [
        ratio
        for pattern, ratio in plan.layers.items()
        if any(fnmatchcase(layer.module, pattern) for layer in group.layers)
    ]
    return fitting[-1] if fitting else None


def ratio_of(group: Group, plan: Plan) -> float:
    own = own_ratio(group, plan)
    return plan.ratio if own is None else own


def _left_each(channels: Channels, plan: Plan, sizes: Mapping[str, int]) -> dict[str, int]:
    left = {
        group.name: _rounded(kept(sizes[group.name], ratio_of(group, plan)), group, plan.round_to, sizes[group.name])
        for group in channels.groups
    }
    ranked = plan.everywhere  # there each layer keeps a share
    empty = [g for g in channels.groups if left[g.name] == 0 and not (ranked and own_ratio(g, plan) is None)]
    if empty:
        most = min(1 - 1 / sizes[group.name] for group in empty)
        raise EdgekitError(
            "EK106",
            what=f"the ratio leaves no filter in {len(empty)} layers",
            where=empty[0].name,
            fix=f"a ratio of {math.floor(100 * most) / 100:g} leaves one in each; or give these layers one of "
            f"their own: --layer {empty[0].name}=0",
            table=Table(
                ("layer", "filters", "ratio"),
                tuple((g.name, str(sizes[g.name]), f"{ratio_of(g, plan):g}") for g in empty[:12]),
            ),
        )
    return left


def _left_everywhere(groups: list[Group], scores: Scores, plan: Plan) -> dict[str, int]:
    """The least of all filters go, each compared with the mean of its layer."""
    ranked = []
    floor = {group.name: max(1, math.ceil(LEAST_SHARE * len(group.bundles))) for group in groups}
    for group in groups:
        mean = float(np.mean([scores[bundle] for bundle in group.bundles])) or 1.0
        ranked += [(scores[bundle] / mean, group.name) for bundle in group.bundles]
    goes = len(ranked) - kept(len(ranked), plan.ratio)
    left = {group.name: len(group.bundles) for group in groups}
    for _, name in sorted(ranked):
        if goes and left[name] > floor[name]:
            left[name] -= 1
            goes -= 1
    return {g.name: _rounded(left[g.name], g, plan.round_to, len(g.bundles)) for g in groups}


def _rounded(bundles: int, group: Group, multiple: int, total: int) -> int:
    """Bundles whose filters are the nearest multiple, at least one of it."""
    if multiple == 1 or bundles in (0, total):
        return bundles
    step = multiple // math.gcd(multiple, group.filters)
    return min(total, max(step, round(bundles / step) * step))


def _last_ones(channels: Channels, gone: set[int], scores: Scores) -> set[int]:
    """Bundles that must stay, as some value (a part of a split) would have no channel left: the best of each."""
    stay: set[int] = set()
    for bundles in channels.values.values():
        present = set(np.unique(bundles).tolist())
        if present <= gone and not present & stay:
            stay.add(max(present, key=lambda bundle: scores[bundle]))
    return stay
