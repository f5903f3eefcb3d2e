"""Instructions and estimated cycles of each operator of a file, on an emulated core.

The runtime's own profiler reads the clock where an operator begins or ends. On the emulated core a read of the clock is
a system call that the counter sees, so the executions of blocks between two reads belong to one operator, exactly. What
the profiler itself costs falls between operators, and is not counted: the whole is measured without it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.bench.blocks import Span, count_blocks, failed
from edgekit.bench.cycles import Estimate, Estimated, board_for, estimate_cycles, estimate_parts
from edgekit.bench.instructions import median_inference
from edgekit.bench.subject import Subject
from edgekit.devices.device import Device
from edgekit.devices.result import Event, RunnerResult
from edgekit.devices.run_model import RunRequest
from edgekit.errors import EdgekitError
from edgekit.target import EmittedNode, runtimes

COPY = "Copy"
PROFILED_REPEATABLE = 0.05
"""The profiler's lists grow now and then: between the operators, where nothing is counted."""


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """What an operator of the file takes.

    Args:
        index: position in the file.
        operator: its kind there ("CONV_2D"); `module` the PyTorch module that it came from, or what it computes.
        kernels: what the runtime calls what ran; several where it made several of one operator.
    """

    index: int
    operator: str
    module: str
    kernels: str
    cost: Estimate

    def document(self, whole: Estimate) -> dict[str, Any]:
        """As JSON; `share` of the whole inference's cycles."""
        described = {"index": self.index, "operator": self.operator, "module": self.module, "kernels": self.kernels}
        costs = {key: round(value) for key, value in asdict(self.cost).items()}
        return {**described, **costs, "share": self.cost.cycles / whole.cycles}


@dataclass(frozen=True, slots=True)
class OperatorProfile:
    """An inference by operators.

    Args:
        operators: those that something ran for, in the order of the file; the runtime fuses some into others.
        covered: what they add up to, as a fraction of the whole, in cycles; the rest is the runtime's own.
    """

    device: str
    sha256: str
    estimated: Estimated
    operators: tuple[OperatorCost, ...]

    @property
    def covered(self) -> float:
        return sum(operator.cost.cycles for operator in self.operators) / self.estimated.whole.cycles

    def document(self) -> dict[str, Any]:
        return {
            "device": self.device,
            "sha256": self.sha256,
            "prices": self.estimated.prices,
            "whole": self.estimated.document(),
            "covered": self.covered,
            "operators": [operator.document(self.estimated.whole) for operator in self.operators],
        }


def profile_operators(
    device: Device, subject: Subject, timeout_s: int = 600, clock_hz: float | None = None
) -> OperatorProfile:
    """Run a file twice on the emulated device, once with the runtime's profiler.

    Raises:
        EdgekitError: EK106 for a device that is not emulated, EK302 for a runtime whose operators cannot be told apart,
            EK609, EK611 as `estimate_cycles`, EK60x.
    """
    board = board_for(device)
    place = subject.runtime.place_kernels
    if place is None:
        raise EdgekitError(
            "EK302",
            what=f"the operators of {subject.runtime.title} cannot be told apart",
            where=subject.name,
            fix=f"profile a file of {_told_apart()}; edgekit bench has --metric cycles for any",
        )
    request = RunRequest(subject.runtime, subject.file, subject.sha256, subject.inputs, timeout_s=timeout_s)
    _, estimated = estimate_cycles(device, request, clock_hz)
    result, counted = count_blocks(device, request, board.caches, split=True, what="cycles")
    spans, _ = median_inference(counted, device.address.name, PROFILED_REPEATABLE)
    by_event = share_out(result, spans, device.address.name)
    costs = estimate_parts(counted, spans, by_event.values(), board, estimated.clock_hz)
    ran = [event for event in result.events if event.kind != "other"]
    placed = place(subject.file.read_bytes(), [event.name for event in ran], [_node(event) for event in ran])
    nodes = subject.nodes or placed.nodes
    together: dict[int, list[tuple[str, Estimate]]] = defaultdict(list)
    for event, index, cost in zip(ran, placed.of_kernel, costs, strict=True):
        together[index].append((event.name, cost))
    operators = tuple(_cost(index, nodes[index], together[index]) for index in sorted(together))
    return OperatorProfile(device.address.name, subject.sha256, estimated, operators)


def _told_apart() -> str:
    return " or ".join(runtime.title for runtime in runtimes() if runtime.place_kernels)


def _node(event: Event) -> int | None:
    """The file's operator, where the runtime says which: of one that it runs itself."""
    return event.node if event.kind == "operator" else None


def _cost(index: int, node: EmittedNode, parts: Sequence[tuple[str, Estimate]]) -> OperatorCost:
    kernels = ", ".join(dict.fromkeys(name for name, _ in parts))
    costs = [cost for _, cost in parts]
    total = Estimate(
        sum(cost.instructions for cost in costs),
        sum(cost.core_cycles for cost in costs),
        sum(cost.memory_bytes for cost in costs),
        sum(cost.cycles for cost in costs),
    )
    return OperatorCost(index, node.operator, node.module, kernels, total)


def share_out(result: RunnerResult, spans: Sequence[Span], where: str) -> Mapping[int, list[Span]]:
    """The spans of each event that is an operator, in the order of the events; EK611 where they do not fit."""
    owners = owners_of(result.events)
    copies = sum(event.name.startswith(COPY) for event in result.events)
    more = len(spans) - len(owners)
    if copies and more > 0 and more % copies == 0:
        owners = owners_of(result.events, more // copies)
    if len(owners) != len(spans) or not result.events:
        raise failed(f"the profiler saw {len(owners)} reads of the clock, the counter {len(spans)}", where)
    parts: dict[int, list[Span]] = {index: [] for index, event in enumerate(result.events) if event.kind != "other"}
    for owner, span in zip(owners, spans, strict=True):
        if owner is not None:
            parts[owner].append(span)
    return parts


def owners_of(events: Sequence[Event], further: int = 0) -> list[int | None]:
    """Which operator each span between two reads of the clock belongs to, None for the runtime's own.

    The runner reads the clock before and after a run, the runtime where an event begins and where it ends; a delegate
    reads it once when its partition begins and then where each of its operators ends. Events are listed as they begin.

    Args:
        further: reads of a concatenation, which copies its parts one by one, before the one that its event stands for.
    """
    owners: list[int | None] = [None]  # until the run begins
    opened: list[int] = []

    def close(until: float) -> None:
        while opened and events[opened[-1]].end_us <= until:
            index = opened.pop()
            owners.append(index if events[index].kind == "operator" else None)

    inside = -1  # the delegate's operator before
    for index, event in enumerate(events):
        if event.kind == "delegated":
            while opened and events[opened[-1]].kind == "operator":
                owners.append(opened.pop())
            if event.node <= inside:
                inside = -1
            if inside < 0:
                owners.append(None)  # the partition begins
            inside = event.node
            owners += [index] * (1 + further * event.name.startswith(COPY))
        elif event.start_us:
            inside = -1
            close(event.start_us)
            owners.append(None)  # the event begins
            opened.append(index)
    close(float("inf"))
    return [*owners, None, None]  # the run ends; the runner goes on to its mark
