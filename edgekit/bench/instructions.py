"""Exact instruction counts per inference on an emulated core: a latency gate without noise.

An index, never milliseconds. Five processes agree to 1e-5 whatever else the host does, so a gate of 0.2 % is possible;
one thread only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.bench.blocks import RUNS, Counted, Span, Words, count_blocks, failed
from edgekit.devices.device import Device
from edgekit.devices.result import RunnerResult
from edgekit.devices.run_model import RunRequest

MAX_REGRESSION = 0.002
REPEATABLE = 1e-5
"""How far the counts of equal inferences may lie apart; the rest is the clock's and the allocator's."""

CLASSES = ("load_store", "simd", "dot_product", "branch", "other")


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions of one inference: the median of RUNS equal ones.

    Args:
        classes: load_store, simd (scalar floating point included), dot_product (SDOT, UDOT), branch, other.
        spread: largest relative deviation between the inferences.
    """

    instructions: int
    classes: Mapping[str, int]
    spread: float

    def share(self, name: str) -> float:
        return self.classes[name] / self.instructions


def count_instructions(device: Device, request: RunRequest) -> tuple[RunnerResult, Counts]:
    """Instructions of one inference of the request's first image.

    Raises:
        EdgekitError: EK106 for a device that is not emulated, EK611 when counting fails or does not repeat.
    """
    result, counted = count_blocks(device, request)
    spans, spread = median_inference(counted, device.address.name)
    return result, Counts(counted.instructions(spans), by_class(counted, spans), spread)


def median_inference(counted: Counted, where: str, at_most: float = REPEATABLE) -> tuple[Sequence[Span], float]:
    """The inference of the median count, and how far the counts lie apart; EK611 when that is too far."""
    ordered = sorted(counted.inferences, key=counted.instructions)
    totals = [counted.instructions(spans) for spans in ordered]
    spread = (totals[-1] - totals[0]) / totals[0]
    if spread > at_most:
        raise failed(f"equal inferences differ by {spread:.1e}: {totals}", where)
    return ordered[RUNS // 2], spread


def by_class(counted: Counted, spans: Sequence[Span]) -> dict[str, int]:
    """Instructions of each class."""
    found = dict.fromkeys(CLASSES, 0)
    for span in spans:
        for index, ran in span.items():
            for name, count in _classes_of(counted.blocks[index].words).items():
                found[name] += count * ran.runs
    return found


def _classes_of(words: Words) -> dict[str, int]:
    names = [classify(word) for word in words]
    return {name: names.count(name) for name in set(names)}


def classify(word: int) -> str:
    """The class of an instruction: bits 28 to 25 of the encoding (Arm ARM, DDI 0487, section C4.1)."""
    group = word >> 25 & 15
    if group & 5 == 4:
        return "load_store"  # x1x0
    if group & 14 == 10:
        return "branch"  # 101x, exceptions and system included
    if group & 7 == 7:  # x111, scalar floating point included
        return "dot_product" if _is_dot_product(word) else "simd"
    return "other"


def _is_dot_product(word: int) -> bool:
    """SDOT and UDOT, vector and by element."""
    return word & 0x9FE0FC00 == 0x0E809400 or word & 0x9FC0F400 == 0x0F80E000
