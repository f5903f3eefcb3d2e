"""The first operator of a file that computes something else in another place: a search over cuts of the file."""

from collections.abc import Callable, Sequence

from edgekit.target import Cut

Differs = Callable[[Cut], bool]


def first_difference(cuts: Sequence[Cut], differs: Differs) -> Cut | None:
    """The first cut that differs although everything it is computed from is equal; None when every output is equal.

    Each output of the file is run, and what leads to one that differs is searched. An output that is equal says nothing
    of what it shares with another one: a difference may vanish in rounding on one way and not on the other.

    Args:
        cuts: in the order of the file; those that give an output of it say so.
        differs: runs the file up to a cut in both places; it is called once per cut at most.
    """
    known: dict[int, bool] = {}

    def once(cut: Cut) -> bool:
        if cut.index not in known:
            known[cut.index] = differs(cut)
        return known[cut.index]

    found: Cut | None = None
    for output in (cut for cut in cuts if cut.gives_output):
        if once(output):
            end = output if found is None or output.index < found.index else found
            found = first_on_the_way(cuts, output, end, once)
    return found


def first_on_the_way(cuts: Sequence[Cut], output: Cut, end: Cut, differs: Differs) -> Cut:
    """The first cut before `end` that leads to `output` and differs; `end`, which is known to differ, when none does.

    Cuts through which every path to the output leads are bisected: what differs at one of them differs at all that
    follow. Between the two that are left each cut is tried, in the order of the file.
    """
    spine = [cut for cut in common_cuts(cuts, output) if cut.index < end.index]
    equal, different = -1, len(spine)
    while different - equal > 1:
        middle = (equal + different) // 2
        if differs(spine[middle]):
            different = middle
        else:
            equal = middle
    start = spine[equal].index + 1 if equal >= 0 else 0
    last = spine[different] if different < len(spine) else end
    wanted = ancestors(cuts, output)
    between = (cut for cut in cuts[start : last.index] if cut.index in wanted)
    return next((cut for cut in between if differs(cut)), last)


def common_cuts(cuts: Sequence[Cut], output: Cut) -> list[Cut]:
    """The cuts that every path from an input to `output` goes through, in order; `output` is always among them.

    A cut is one exactly when nothing before it is read after it.
    """
    needed = [cuts[index] for index in sorted(ancestors(cuts, output))]
    found, reach = [], -1
    last_use = {source: cut.index for cut in needed for source in cut.sources}
    last_reader = max((cut.index for cut in needed if cut.reads_input), default=-1)
    for cut in needed:
        if reach <= cut.index and last_reader <= cut.index:
            found.append(cut)
        reach = max(reach, last_use.get(cut.index, -1))
    return found


def ancestors(cuts: Sequence[Cut], cut: Cut) -> set[int]:
    """Indices of `cut` and of all that it is computed from."""
    found, pending = set(), [cut.index]
    while pending:
        index = pending.pop()
        if index not in found:
            found.add(index)
            pending.extend(cuts[index].sources)
    return found
