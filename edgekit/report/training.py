"""How far a training is, on stderr: a bar with images a second and what is left; lines where there is no terminal."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

EVERY_S = 20  # between two lines of one stage, where stderr is no terminal: a silence is taken for a fault


class TrainingProgress:
    """A Listener of `edgekit.train`. Use it as a context manager: leaving it gives the terminal back clean."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._stage, self._started_s, self._spoken_s = "", 0.0, 0.0

    def __enter__(self) -> "TrainingProgress":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def start(self, stage: str) -> None:
        """A stage begins, and ends the one before it."""
        self._clear()
        self._stage, self._started_s = stage, time.monotonic()
        self._spoken_s = self._started_s
        self._task = self._bar.add_task(stage, total=None, rate="")

    def amount(self, done: int, total: int | None) -> None:
        """How far a download is, in bytes."""
        self.step(done, total)

    def step(self, done: int, total: int | None) -> None:
        """How many images of the stage are done."""
        now = time.monotonic()
        rate = done / max(now - self._started_s, 1e-6)
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total, rate=f"{rate:,.0f}/s")
        if not self._console.is_terminal and now - self._spoken_s >= EVERY_S:
            self._spoken_s = now
            left = f", {(total - done) / max(rate, 1e-6):,.0f} s left" if total else ""
            self._console.print(f"{self._stage}: {done:,} of {total or 0:,}, {rate:,.0f} a second{left}", markup=False)

    def finish(self, stage: str) -> None:
        """The stage is done."""
        self._clear()
        self._console.print(f"done {stage}  {time.monotonic() - self._started_s:.1f} s", markup=False)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        self._console.print(text, markup=False)

    def _clear(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
