"""Progress on stderr: a spinner while a stage runs, one line with its seconds when it is done."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.status import Status

from edgekit.progress import Progress, Silent


class TerminalProgress:
    """A Progress for a terminal; where stderr is no terminal it prints the finished stages only.

    Use it as a context manager: leaving it, also by Ctrl-C, gives the terminal back clean.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status = Status("starting", console=self._console)
        self._stage, self._started_s = "", 0.0

    def __enter__(self) -> "TerminalProgress":
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._status.stop()

    def start(self, stage: str) -> None:
        self._stage, self._started_s = stage, time.perf_counter()
        self._status.update(stage)

    def amount(self, done: int, total: int | None) -> None:
        """Show how far a download is; `done` and `total` in bytes."""
        of_total = f" of {total / 1e6:.1f}" if total else ""
        self._status.update(f"{self._stage}: {done / 1e6:.1f}{of_total} MB")

    def step(self, done: int, total: int | None) -> None:
        """Show how many steps of the stage are done."""
        of_total = f" of {total}" if total else ""
        self._status.update(f"{self._stage}: step {done}{of_total}")

    def finish(self, stage: str) -> None:
        seconds = time.perf_counter() - self._started_s
        self._console.print(f"[green]done[/green] {stage} [dim]{seconds:.1f} s[/dim]")


@contextmanager
def shown(progress: bool | Progress, stage: str | None = None) -> Iterator[Progress]:
    """Who hears how far something is: the terminal or notebook for True, nobody for False, or who was given.

    Args:
        stage: name of the one stage that the block is; None where it announces its own.
    """
    listener = (TerminalProgress() if progress else Silent()) if isinstance(progress, bool) else progress
    with listener if isinstance(listener, TerminalProgress | Silent) else nullcontext():
        if stage is not None:
            listener.start(stage)
        yield listener
        if stage is not None:
            listener.finish(stage)
