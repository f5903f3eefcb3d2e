"""Estimated cycles of an inference on a core that is not at hand: executions of blocks times their prices, and memory.

An estimate, to compare files and operators with each other; docs/cycles.md has what it is worth beside published times.

cycles = sum over blocks of max(executions * price, lines that no cache had * 64 bytes / bandwidth * clock)

A block is what overlaps: a loop that computes longer than its weights take to arrive hides them, a matrix times one
vector waits for them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.bench.blocks import Block, Counted, Span, Words, count_blocks
from edgekit.bench.boards import PIPELINES, Board, board_of
from edgekit.bench.instructions import classify, median_inference
from edgekit.bench.prices import find_llvm, made_with, price
from edgekit.devices.device import Device
from edgekit.devices.emulated import EmulatedDevice
from edgekit.devices.result import RunnerResult
from edgekit.devices.run_model import RunRequest
from edgekit.errors import EdgekitError

PRICED = 0.999
"""Share of the instructions whose blocks are priced one by one; the rest costs as much an instruction as these."""

LINE_BYTES = 64
REPEATABLE = 1e-4
"""How far the instruction counts of equal inferences may lie apart beneath an estimate."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one inference, or of a part of it.

    Args:
        core_cycles: while everything lies in the nearest cache.
        memory_bytes: what no cache had.
        cycles: with what the core waits for memory.
    """

    instructions: int
    core_cycles: float
    memory_bytes: int
    cycles: float


@dataclass(frozen=True, slots=True)
class Estimated:
    """An inference on a board.

    Args:
        clock_hz: that the core runs at; memory takes more cycles the faster it is.
        prices: what they were made with.
        spread: of the instruction counts beneath, relative.
    """

    board: Board
    clock_hz: float
    prices: str
    whole: Estimate
    spread: float

    @property
    def milliseconds(self) -> float:
        return 1e3 * self.whole.cycles / self.clock_hz

    def document(self) -> dict[str, Any]:
        """As JSON; cycles are whole numbers there."""
        found = {key: round(value) for key, value in asdict(self.whole).items()}
        return {**found, "spread": self.spread, "board": self.board.title, "clock_hz": self.clock_hz}


def estimate_cycles(
    device: Device, request: RunRequest, clock_hz: float | None = None
) -> tuple[RunnerResult, Estimated]:
    """Cycles of one inference of the request's first image.

    Args:
        clock_hz: instead of the board's own.

    Raises:
        EdgekitError: EK106 for a device that is not emulated, EK609 without llvm-mca, EK611 when counting fails.
    """
    board = board_for(device)
    clock_hz = clock_hz or board.clock_hz
    find_llvm()  # before minutes of emulation
    result, counted = count_blocks(device, request, board.caches, what="cycles")
    spans, spread = median_inference(counted, device.address.name, REPEATABLE)
    [whole] = estimate_parts(counted, spans, [spans], board, clock_hz)
    return result, Estimated(board, clock_hz, made_with(PIPELINES[board.core]), whole, spread)


def board_for(device: Device) -> Board:
    """The board that a device stands for; EK106 for one that is not emulated."""
    if not isinstance(device, EmulatedDevice):
        raise EdgekitError(
            "EK106",
            what="cycles are estimated on an emulated device only",
            where=device.address.name,
            fix="choose --device emulated:pi4, or --metric latency",
        )
    return board_of(device)


def estimate_parts(
    counted: Counted, whole: Sequence[Span], parts: Iterable[Sequence[Span]], board: Board, clock_hz: float
) -> list[Estimate]:
    """Of each part of an inference. What the whole waits for in a block is shared out by the lines that each part asked
    for there, so that parts add up to the whole."""
    costs = block_costs(counted, whole, board, clock_hz)
    return [_estimate(counted, spans, costs) for spans in parts]


@dataclass(frozen=True, slots=True)
class BlockCosts:
    """What blocks cost in one inference, by their indices.

    Args:
        of_run: core cycles of one execution; all of a chain stand at its first block.
        of_line: cycles that the core waits for each line that no cache had.
    """

    of_run: Mapping[int, float]
    of_line: Mapping[int, float]


def block_costs(counted: Counted, whole: Sequence[Span], board: Board, clock_hz: float) -> BlockCosts:
    """Prices of the blocks, and what they leave uncovered of the time that memory takes."""
    runs, first, words = _runs(whole), *join(counted, whole)
    prices, otherwise = _prices(words, runs, board)
    of_run = {index: prices.get(chain, otherwise * len(chain)) for index, chain in words.items()}
    lines: Counter[int] = Counter()
    for span in whole:
        for index, ran in span.items():
            lines[first[index]] += ran.misses[-1]
    line_cycles = LINE_BYTES / board.memory_bytes_s * clock_hz
    waits = {
        index: max(0.0, line_cycles - of_run[index] * runs[index] / count) for index, count in lines.items() if count
    }
    return BlockCosts(of_run, {index: waits.get(head, 0.0) for index, head in first.items()})


def join(counted: Counted, spans: Iterable[Span]) -> tuple[Mapping[int, int], Mapping[int, Words]]:
    """Chains of blocks that follow each other in any case: each block's first one, and the instructions of each chain.

    qemu ends a block where a page of memory ends, also in the middle of a loop.
    """
    runs = _runs(spans)
    starting: dict[int, list[int]] = defaultdict(list)
    for index in runs:
        starting[counted.blocks[index].address].append(index)
    follower = {}
    for index in runs:
        block = counted.blocks[index]
        equal = [other for other in starting[block.end] if runs[other] == runs[index]]
        if not _jumps(block) and len(equal) == 1:
            follower[index] = equal[0]
    first: dict[int, int] = {}
    words: dict[int, Words] = {}
    for index in runs.keys() - set(follower.values()):
        words[index], last = (), index
        while last >= 0:
            first[last] = index
            words[index] += counted.blocks[last].words
            last = follower.get(last, -1)
    return first, words


def _jumps(block: Block) -> bool:
    return classify(block.words[-1]) == "branch"


def _runs(spans: Iterable[Span]) -> Counter[int]:
    runs: Counter[int] = Counter()
    for span in spans:
        for index, ran in span.items():
            runs[index] += ran.runs
    return runs


def _prices(chains: Mapping[int, Words], runs: Mapping[int, int], board: Board) -> tuple[dict[Words, float], float]:
    """The prices of what runs most, and the mean price of one instruction."""
    weights: Counter[Words] = Counter()
    for index, words in chains.items():
        weights[words] += len(words) * runs[index]
    total, covered, chosen = sum(weights.values()), 0, []
    for words, weight in weights.most_common():
        if covered >= PRICED * total or not weight:
            break
        chosen.append(words)
        covered += weight
    prices = price(PIPELINES[board.core], chosen)
    return prices, sum(prices[words] * weights[words] / len(words) for words in chosen) / covered


def _estimate(counted: Counted, spans: Sequence[Span], costs: BlockCosts) -> Estimate:
    core_cycles, waits, lines = 0.0, 0.0, 0
    for span in spans:
        for index, ran in span.items():
            core_cycles += ran.runs * costs.of_run.get(index, 0.0)
            waits += ran.misses[-1] * costs.of_line[index]
            lines += ran.misses[-1]
    return Estimate(counted.instructions(spans), core_cycles, LINE_BYTES * lines, core_cycles + waits)
