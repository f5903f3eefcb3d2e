"""Progress on stderr: a spinner while a stage runs, one line with its seconds when it is done."""

import sys
import time

from rich.console import Console
from rich.status import Status


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
        if sys.exc_info()[0] is not None:
            return  # the stage failed: the error says so
        seconds = time.perf_counter() - self._started_s
        self._console.print(f"[green]done[/green] {stage} [dim]{seconds:.1f} s[/dim]")
