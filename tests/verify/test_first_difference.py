"""The search for the first operator that differs, on made-up graphs where the answer is known."""

import random

import pytest

from edgekit.target import Cut, TensorInfo
from edgekit.verify.first_difference import ancestors, common_cuts, first_difference


def graph(*sources, outputs=()):
    """Cuts that read the cuts given; those that read none read the input. The last one and `outputs` give outputs."""
    info = TensorInfo("t", (1,), "int8", "other")
    given = {len(sources) - 1, *outputs}
    return [Cut(i, "OP", f"t{i}", info, tuple(read), not read, i in given) for i, read in enumerate(sources)]


CHAIN = graph((), (0,), (1,), (2,), (3,), (4,), (5,), (6,))
RESIDUAL = graph((), (0,), (1,), (0, 2), (3,), (4,), (3, 5), (6,))
TWO_BRANCHES = graph((), (), (0,), (1,), (2, 3))
TWO_HEADS = graph((), (0,), (1,), (2,), (3,), (2,), (5,), outputs=(4,))
"""0 1 2 are shared; 3 4 lead to one output, 5 6 to the other."""


def search(cuts, *broken):
    """The cut found when the `broken` compute wrongly, and how many were run."""
    return search_where(cuts, {cut.index for cut in cuts if ancestors(cuts, cut) & set(broken)})


def search_where(cuts, wrong):
    """The cut found when those in `wrong` differ, and how many were run."""
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


@pytest.mark.parametrize("cuts", [RESIDUAL, TWO_BRANCHES, TWO_HEADS], ids=["residual", "two branches", "two heads"])
def test_operators_in_branches_are_found(cuts):
    assert [search(cuts, broken)[0] for broken in range(len(cuts))] == list(range(len(cuts)))


def test_equal_outputs_need_one_run_each():
    assert search(CHAIN) == (None, 1)
    assert search(TWO_HEADS) == (None, 2)
    assert first_difference([], lambda cut: True) is None


def test_of_two_wrong_operators_the_first_in_the_file_is_found_whichever_output_it_leads_to():
    for broken in ((3, 5), (4, 5), (3, 6), (4, 6)):
        assert search(TWO_HEADS, *broken)[0] == broken[0]
    interleaved = graph((), (0,), (0,), (1,), (2,), outputs=(3,))  # 1 3 lead to one output, 2 4 to the other
    assert search(interleaved, 2, 3)[0] == 2


def test_an_output_inside_of_the_graph_is_searched_too():
    cuts = graph((), (0,), (1,), (2,), outputs=(1,))
    assert [search(cuts, broken)[0] for broken in range(4)] == [0, 1, 2, 3]


def test_an_equal_output_says_nothing_of_what_it_shares():
    """A step more in 1 vanishes in 3, on the way to one output, and is kept in 5, on the way to the other."""
    assert search_where(TWO_HEADS, {1, 2, 5, 6})[0] == 1
    assert search_where(TWO_HEADS, {1, 2, 3, 4})[0] == 1


def test_a_long_head_is_bisected_as_what_is_shared_is():
    shared, length = 100, 200
    cuts = graph((), *((i,) for i in range(length - 1)), (shared,), *((i,) for i in range(length, 2 * length - 1)))
    cuts = graph(*(cut.sources for cut in cuts), outputs=(length - 1,))
    for broken in (0, 50, shared, shared + 1, length - 1, length, length + 77, 2 * length - 1):
        found, runs = search(cuts, broken)
        assert found == broken
        assert runs <= 20  # two outputs, and at most two bisections of 300


def test_the_common_cuts_are_those_that_every_path_goes_through():
    def indices(cuts, output=-1):
        return [cut.index for cut in common_cuts(cuts, cuts[output])]

    assert indices(CHAIN) == list(range(8))
    assert indices(RESIDUAL) == [0, 3, 6, 7]
    assert indices(TWO_BRANCHES) == [4]
    assert indices(TWO_HEADS) == [0, 1, 2, 5, 6]
    assert indices(TWO_HEADS, 4) == [0, 1, 2, 3, 4]


def test_an_operator_that_leads_nowhere_is_not_run():
    cuts = graph((), (0,), (0,), (2,))
    assert [cut.index for cut in common_cuts(cuts, cuts[-1])] == [0, 2, 3]
    assert search(cuts, 2) == (2, 3)


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_in_random_graphs_the_broken_operator_is_found(seed, outputs):
    draw = random.Random(seed)
    sources = [()] + [tuple(sorted(draw.sample(range(i), min(i, draw.choice((1, 1, 1, 2)))))) for i in range(1, 25)]
    cuts = graph(*sources, outputs=draw.sample(range(24), outputs - 1))
    needed = sorted(set().union(*(ancestors(cuts, cut) for cut in cuts if cut.gives_output)))
    for broken in needed:
        assert search(cuts, broken)[0] == broken
        other = draw.choice(needed)
        assert search(cuts, broken, other)[0] == min(broken, other)
