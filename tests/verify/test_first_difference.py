"""The search for the first operator that differs, on made-up graphs where the answer is known."""

import random

import pytest

from edgekit.target import Cut, TensorInfo
from edgekit.verify.first_difference import ancestors, common_cuts, first_difference


def graph(*sources):
    """Cuts that read the cuts given; those that read none read the input."""
    info = TensorInfo("t", (1,), "int8", "other")
    return [Cut(i, "OP", f"t{i}", info, tuple(read), not read) for i, read in enumerate(sources)]


CHAIN = graph((), (0,), (1,), (2,), (3,), (4,), (5,), (6,))
RESIDUAL = graph((), (0,), (1,), (0, 2), (3,), (4,), (3, 5), (6,))
TWO_BRANCHES = graph((), (), (0,), (1,), (2, 3))


def search(cuts, broken):
    """The cut found when `broken` computes wrongly, and how many were run."""
    wrong = {cut.index for cut in cuts if broken in ancestors(cuts, cut)}
    tried = []

    def differs(cut):
        assert cut.index not in tried, "a cut was run twice"
        tried.append(cut.index)
        return cut.index in wrong

    found = first_difference(cuts, differs)
    return (None if found is None else found.index), len(tried)


def test_every_operator_of_a_chain_is_found_in_few_runs():
    for broken in range(len(CHAIN)):
        found, runs = search(CHAIN, broken)
        assert found == broken
        assert runs <= 4  # the last one, and three halvings of eight


@pytest.mark.parametrize("cuts", [RESIDUAL, TWO_BRANCHES], ids=["residual", "two branches"])
def test_operators_in_branches_are_found(cuts):
    assert [search(cuts, broken)[0] for broken in range(len(cuts))] == list(range(len(cuts)))


def test_equal_outputs_need_one_run():
    assert search(CHAIN, broken=-1) == (None, 1)
    assert first_difference([], lambda cut: True) is None


def test_the_common_cuts_are_those_that_every_path_goes_through():
    assert [cut.index for cut in common_cuts(CHAIN)] == list(range(8))
    assert [cut.index for cut in common_cuts(RESIDUAL)] == [0, 3, 6, 7]
    assert [cut.index for cut in common_cuts(TWO_BRANCHES)] == [4]


def test_an_operator_that_leads_nowhere_is_not_run():
    cuts = graph((), (0,), (0,), (2,))
    assert [cut.index for cut in common_cuts(cuts)] == [0, 2, 3]
    assert search(cuts, 2) == (2, 3)


@pytest.mark.parametrize("seed", range(20))
def test_in_random_graphs_the_broken_operator_is_found(seed):
    draw = random.Random(seed)
    sources = [()] + [tuple(sorted(draw.sample(range(i), min(i, draw.choice((1, 1, 1, 2)))))) for i in range(1, 25)]
    cuts = graph(*sources)
    needed = sorted(ancestors(cuts, cuts[-1]))
    for broken in needed:
        assert search(cuts, broken)[0] == broken
