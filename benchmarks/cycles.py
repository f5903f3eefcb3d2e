"""Estimated cycles beside published times: what the estimate of `edgekit bench --metric cycles` is worth.

    python benchmarks/cycles.py                              every board, a few minutes
    python benchmarks/cycles.py "Pixel 3a" mobilenet_v2      some of them
    python benchmarks/cycles.py --markdown docs/cycles.md    writes the table into the document

The networks are built here, with settled weights, at the published input size. The times are others', of other
versions of the kernels, some on a core that the profile stands for only nearly: the column "as" names the profile.
Pixel 4's times were seen when its memory was chosen, no others were.
"""

import argparse
import hashlib
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from settled import Settled

from edgekit.bench.cycles import Estimated, estimate_cycles
from edgekit.bench.subject import plain_subject
from edgekit.devices.run_model import RunRequest, open_device

BEGIN, END = "<!-- table -->", "<!-- /table -->"
COLUMNS = ("board", "as", "clock", "file", "model", "published ms", "estimated ms", "ratio", "to the board's mean")


@dataclass(frozen=True)
class Published:
    """Times of one board, one thread.

    Args:
        device: whose profile stands for it, at `clock_ghz`.
        times_ms: zoo name -> milliseconds.
    """

    board: str
    device: str
    clock_ghz: float
    target: str
    times_ms: Mapping[str, float]


MOBILENETS = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small")
BOARDS = (
    Published(
        "Pixel 4 (A76)", "phone", 2.84, "tflite-fp32", dict(zip(MOBILENETS, (30.0, 19.1, 15.7, 5.6), strict=True))
    ),
    # XNNPACK's README, March 2020
    Published(
        "Pixel 3a (A75)", "pi4", 2.0, "tflite-fp32", dict(zip(MOBILENETS, (88.0, 55.0, 44.0, 14.0), strict=True))
    ),
    Published(
        "Pixel 2 (A73)", "pi4", 2.35, "tflite-fp32", dict(zip(MOBILENETS, (86.0, 53.0, 42.0, 14.0), strict=True))
    ),
    # coral.ai/docs/edgetpu/benchmarks, column "Embedded CPU": TFLite of 2019, uint8
    Published(
        "Coral Dev Board (A53)",
        "pi3",
        1.5,
        "tflite-int8",
        {"mobilenet_v1": 164.0, "mobilenet_v2": 122.0, "squeezenet1_0": 232.0},
    ),
)


@dataclass(frozen=True)
class Row:
    """One network on one board."""

    published: Published
    model: str
    estimated: Estimated

    @property
    def ratio(self) -> float:
        return self.estimated.milliseconds / self.published.times_ms[self.model]

    def cells(self, mean: float) -> tuple[str, ...]:
        board = self.published
        return (
            board.board,
            f"emulated:{board.device}",
            f"{board.clock_ghz:g} GHz",
            board.target,
            self.model,
            f"{board.times_ms[self.model]:g}",
            f"{self.estimated.milliseconds:.1f}",
            f"{self.ratio:.2f}",
            f"{100 * (self.ratio / mean - 1):+.0f} %",
        )


def measure(published: Published, models: Iterable[str], folder: Path) -> list[Row]:
    """The estimates of a board's networks."""
    rows = []
    with open_device(f"emulated:{published.device}") as device:
        for model in models:
            file = folder / f"{model}.{published.target}.tflite"
            if not file.exists():
                file.write_bytes(Settled.make(model).emit(published.target).data)
            subject = plain_subject(file)
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            request = RunRequest(subject.runtime, file, digest, subject.inputs, timeout_s=3600)
            rows.append(Row(published, model, estimate_cycles(device, request, 1e9 * published.clock_ghz)[1]))
            print("  ".join(rows[-1].cells(rows[-1].ratio)[:-1]), flush=True)
    return rows


def table(rows: Sequence[Row]) -> str:
    """In Markdown, with the geometric mean of each board's ratios."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for board in dict.fromkeys(row.published.board for row in rows):
        of_board = [row for row in rows if row.published.board == board]
        mean = math.exp(sum(math.log(row.ratio) for row in of_board) / len(of_board))
        lines += [f"| {' | '.join(row.cells(mean))} |" for row in of_board]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of boards' names, and models")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    boards = [b for b in BOARDS if not options.names or any(name in b.board for name in options.names)] or list(BOARDS)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            row
            for board in boards
            for row in measure(board, [m for m in board.times_ms if _wanted(m, options.names)], Path(folder))
        ]
    found = table(rows)
    print(found)
    if options.markdown:
        text = options.markdown.read_text()
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        options.markdown.write_text(f"{before}{BEGIN}\n{found}\n{END}{after}")


def _wanted(model: str, names: Sequence[str]) -> bool:
    chosen = [name for name in names if any(name in board.times_ms for board in BOARDS)]
    return not chosen or model in chosen


if __name__ == "__main__":
    main()
