"""Estimated cycles of an inference on a core that is not at hand: executions of blocks times their prices, and memory.

An estimate, to compare files and operators with each other; docs/cycles.md has what it is worth beside published times.

cycles = sum over blocks (executions * price) + lines that no cache had * 64 bytes / bandwidth of memory * clock
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


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one inference, or of a part of it.

    Args:
        core_cycles: while everything lies in the nearest cache.
        memory_bytes: what no cache had.
        cycles: of both, at the board's clock.
    """

    instructions: int
    core_cycles: float
    memory_bytes: int
    cycles: float

    def milliseconds(self, board: Board, clock_hz: float) -> float:
        """At another clock: what comes from memory takes as long as before."""
        return 1e3 * (self.core_cycles / clock_hz + self.memory_bytes / board.memory_bytes_s)


@dataclass(frozen=True, slots=True)
class Estimated:
    """An inference on a board.

    Args:
        prices: what they were made with.
        spread: of the instruction counts beneath, relative.
    """

    board: Board
    prices: str
    whole: Estimate
    spread: float

    def milliseconds(self, clock_hz: float) -> float:
        return self.whole.milliseconds(self.board, clock_hz)

    def document(self) -> dict[str, Any]:
        """As JSON; cycles are whole numbers there."""
        found = {key: round(value) for key, value in asdict(self.whole).items()}
        return {**found, "spread": self.spread, "board": self.board.title, "clock_hz": self.board.clock_hz}


def estimate_cycles(device: Device, request: RunRequest) -> tuple[RunnerResult, Estimated]:
    """Cycles of one inference of the request's first image.

    Raises:
        EdgekitError: EK106 for a device that is not emulated, EK609 without llvm-mca, EK611 when counting fails.
    """
    board = board_for(device)
    find_llvm()  # before minutes of emulation
    result, counted = count_blocks(device, request, board.caches, what="cycles")
    spans, spread = median_inference(counted, device.address.name)
    [whole] = estimate_parts(counted, spans, [spans], board)
    return result, Estimated(board, made_with(PIPELINES[board.core]), whole, spread)


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
    counted: Counted, whole: Sequence[Span], parts: Iterable[Sequence[Span]], board: Board
) -> list[Estimate]:
    """Of each part of an inference; prices are those of the whole."""
    chains = join(counted, whole)
    prices, otherwise = _prices(chains, _runs(whole), board)
    return [_estimate(counted, spans, chains, prices, otherwise, board) for spans in parts]


def join(counted: Counted, spans: Iterable[Span]) -> Mapping[int, Words]:
    """The instructions of each block with those of the blocks that follow it in any case; the followers have none.

    qemu ends a block where a page of memory ends, also in the middle of a loop.
    """
    runs = _runs(spans)
    blocks = {index: counted.blocks[index] for index in runs}
    starting: dict[int, list[int]] = defaultdict(list)
    for index, block in blocks.items():
        starting[block.address].append(index)
    follower = {}
    for index, block in blocks.items():
        if not _jumps(block):
            equal = [other for other in starting[block.end] if runs[other] == runs[index] and other != index]
            if len(equal) == 1:
                follower[index] = equal[0]
    followers = set(follower.values())
    joined: dict[int, Words] = dict.fromkeys(followers, ())
    for index in blocks.keys() - followers:
        words, last = blocks[index].words, index
        while (last := follower.get(last, -1)) >= 0:
            words += blocks[last].words
        joined[index] = words
    return joined


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


def _estimate(
    counted: Counted,
    spans: Sequence[Span],
    chains: Mapping[int, Words],
    prices: Mapping[Words, float],
    otherwise: float,
    board: Board,
) -> Estimate:
    core_cycles, lines = 0.0, 0
    for span in spans:
        for index, ran in span.items():
            words = chains[index]
            core_cycles += ran.runs * prices.get(words, otherwise * len(words))
            lines += ran.misses[-1]
    memory_bytes = LINE_BYTES * lines
    cycles = core_cycles + memory_bytes / board.memory_bytes_s * board.clock_hz
    return Estimate(counted.instructions(spans), core_cycles, memory_bytes, cycles)
