"""The first operator of a file that computes something else in another place: a search over cuts of the file."""

from collections.abc import Callable, Sequence

from edgekit.target import Cut


def first_difference(cuts: Sequence[Cut], differs: Callable[[Cut], bool]) -> Cut | None:
    """The first cut that differs although everything it is computed from is equal; None when the last one is equal.

    Cuts through which every path to the output leads are bisected: what differs at one of them differs at all that
    follow. Between the two that are left each cut is tried, in the order of the file.

    Args:
        cuts: in the order of the file; the last one is the file's output.
        differs: runs the file up to a cut in both places; it is called once per cut at most.
    """
    if not cuts or not differs(cuts[-1]):
        return None
    spine = common_cuts(cuts)
    equal, different = -1, len(spine) - 1
    while different - equal > 1:
        middle = (equal + different) // 2
        if differs(spine[middle]):
            different = middle
        else:
            equal = middle
    start = spine[equal].index + 1 if equal >= 0 else 0
    end = spine[different]
    wanted = ancestors(cuts, end)
    between = (cut for cut in cuts[start : end.index] if cut.index in wanted)
    return next((cut for cut in between if differs(cut)), end)


def common_cuts(cuts: Sequence[Cut]) -> list[Cut]:
    """The cuts that every path from an input to the last cut goes through, in order; the last one is always among them.

    A cut is one exactly when nothing before it is read after it.
    """
    needed = ancestors(cuts, cuts[-1])
    found, reach = [], -1
    last_use = {source: cut.index for cut in cuts if cut.index in needed for source in cut.sources}
    for cut in cuts:
        if cut.index not in needed:
            continue
        if reach <= cut.index and not (cut.index < cuts[-1].index and _reads_input_later(cuts, cut, needed)):
            found.append(cut)
        reach = max(reach, last_use.get(cut.index, -1))
    return found


def _reads_input_later(cuts: Sequence[Cut], cut: Cut, needed: set[int]) -> bool:
    """Whether a later cut reads the file's own input, past this one."""
    return any(later.reads_input for later in cuts[cut.index + 1 :] if later.index in needed)


def ancestors(cuts: Sequence[Cut], cut: Cut) -> set[int]:
    """Indices of `cut` and of all that it is computed from."""
    found, pending = set(), [cut.index]
    while pending:
        index = pending.pop()
        if index not in found:
            found.add(index)
            pending.extend(cuts[index].sources)
    return found
