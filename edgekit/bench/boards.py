"""Boards and phones for which cycles are estimated: the core's pipeline, its caches, its memory.

Nothing here was measured by edgekit; docs/cycles.md says where each figure comes from, and what the estimates of known
networks are beside published times.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.bench.blocks import Cache
from edgekit.bench.prices import Pipeline
from edgekit.devices.emulated import EmulatedDevice

KB, GIGA = 1024, 1e9


@dataclass(frozen=True, slots=True)
class Board:
    """What an inference on one core of it runs into.

    Args:
        core: as emulated.
        clock_hz: the clock that cycles are given for: memory takes more of them the faster the core is.
        caches: L1D, L2 and so on, as one core sees them.
        memory_bytes_s: what one core gets from memory, line by line as it needs them.
    """

    name: str
    title: str
    core: str
    clock_hz: float
    caches: tuple[Cache, ...]
    memory_bytes_s: float


PIPELINES: Mapping[str, Pipeline] = {
    # LLVM's own model of the A53 lets a load wait for all that began before it; the A55 is its successor with the same
    # two slots. The A55's takes two multiply-accumulates of 128 bits a cycle, as neither core does: the A53's ports.
    "cortex-a53": Pipeline("cortex-a55", in_order=True, ports="cortex-a53"),
    "cortex-a55": Pipeline("cortex-a55", in_order=True, ports="cortex-a53"),
    "cortex-a72": Pipeline("cortex-a57", in_order=False),  # LLVM itself takes the A57's for it
    "cortex-a76": Pipeline("neoverse-n1", in_order=False),  # the A76's core in a server
}

BOARDS: Mapping[str, Board] = {
    board.name: board
    for board in (
        Board(
            "pi3", "Raspberry Pi 3B+", "cortex-a53", 1.4 * GIGA, (Cache(32 * KB, 4), Cache(512 * KB, 16)), 2.2 * GIGA
        ),
        Board("pi4", "Raspberry Pi 4", "cortex-a72", 1.5 * GIGA, (Cache(32 * KB, 2), Cache(1024 * KB, 16)), 4.0 * GIGA),
        Board(
            "pi5",
            "Raspberry Pi 5",
            "cortex-a76",
            2.4 * GIGA,
            (Cache(64 * KB, 4), Cache(512 * KB, 8), Cache(2048 * KB, 16)),
            6.5 * GIGA,
        ),
        Board(
            "phone",
            "Pixel 4, its fastest core",
            "cortex-a76",
            2.84 * GIGA,
            (Cache(64 * KB, 4), Cache(512 * KB, 8), Cache(4096 * KB, 16)),
            6.5 * GIGA,
        ),
        Board(
            "phone-little",
            "Pixel 4, its slow cores",
            "cortex-a55",
            1.78 * GIGA,
            (Cache(32 * KB, 4), Cache(128 * KB, 4), Cache(4096 * KB, 16)),
            4.0 * GIGA,
        ),
    )
}
USUAL = {"cortex-a53": "pi3", "cortex-a55": "phone-little", "cortex-a72": "pi4", "cortex-a76": "pi5"}
"""The board that a core is taken to sit on where none was named."""


def board_of(device: EmulatedDevice) -> Board:
    """The board of `emulated:pi4`, or the usual one of `emulated:cortex-a72`."""
    name = device.address.rest
    return BOARDS[name] if name in BOARDS else BOARDS[USUAL[device.core.name]]
