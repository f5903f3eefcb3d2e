"""Costs by operator: reads of the clock find their operator, and operators add up to the inference."""

import pytest
from test_cycles import on_the_emulated_core

from edgekit.bench.operators import owners_of, profile_operators, share_out
from edgekit.devices.result import Event
from edgekit.devices.run_model import open_device
from edgekit.errors import EdgekitError


def other(name, start_us, elapsed_us):
    return Event(name, "other", start_us, elapsed_us, -1)


def own(name, start_us, elapsed_us, node):
    return Event(name, "operator", start_us, elapsed_us, node)


def delegated(name, node):
    return Event(name, "delegated", 0, 7, node)


EVENTS = (
    other("registration", 100, 10),
    other("Invoke", 120, 500),
    delegated("Convolution", 0),
    delegated("Add", 1),
    own("AVERAGE_POOL_2D", 300, 20, 2),
    delegated("Fully Connected", 0),
    own("SOFTMAX", 400, 20, 4),
    Event("Invoke", "other", 0, 1 << 32, -1),
    other("sync", 630, 10),
)


def test_reads_of_the_clock_find_their_operator():
    """In order: the run and two runtime events begin; a partition; a node of TFLite's own; another partition; ..."""
    assert owners_of(EVENTS) == [
        *(None, None, None, None),  # run begins, registration begins and ends, Invoke begins
        *(None, 2, 3),  # a partition begins, its two operators end
        *(None, 4),  # the pool begins and ends
        *(None, 5),
        *(None, 6),
        None,  # Invoke ends
        *(None, None),  # sync
        *(None, None),  # the run ends, the mark
    ]


def test_two_partitions_in_a_row_are_two():
    events = (delegated("Add", 0), delegated("Add", 1), delegated("Multiply", 0))
    assert owners_of(events) == [None, None, 0, 1, None, 2, None, None]


def test_a_clock_that_was_read_otherwise_is_an_error(run_result):
    with pytest.raises(EdgekitError, match=r"EK611 .*profiler saw 18 reads of the clock, the counter 3"):
        share_out(run_result(EVENTS), [{}] * 3, "core")
    assert list(share_out(run_result(EVENTS), [{}] * 18, "core")) == [2, 3, 4, 5, 6]


@pytest.fixture
def run_result():
    from types import SimpleNamespace

    return lambda events: SimpleNamespace(events=events)


@on_the_emulated_core
def test_operators_add_up_to_the_inference(subject):
    with open_device("emulated:pi5") as device:
        profile = profile_operators(device, subject)
    whole = profile.estimated.whole
    assert profile.covered == pytest.approx(1, abs=0.03)
    assert sum(operator.cost.instructions for operator in profile.operators) == pytest.approx(
        whole.instructions, rel=0.03
    )
    assert [operator.index for operator in profile.operators] == sorted(o.index for o in profile.operators)
    first = profile.operators[0]
    assert (first.operator, first.module) == (subject.nodes[first.index].operator, subject.nodes[first.index].module)
    convolutions = [operator for operator in profile.operators if operator.operator.endswith("CONV_2D")]
    assert len(convolutions) == sum(node.operator.endswith("CONV_2D") for node in subject.nodes)
    assert all("Convolution" in o.kernels or "Fully Connected" in o.kernels for o in convolutions)
