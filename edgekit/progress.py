"""How far something is: the one way to say it, from a download's bytes to the stages of an export."""

from collections.abc import Callable
from typing import Protocol

Step = Callable[[int, int | None], None]
"""Told how much of something is done, and of how much; None where that is not known before the end."""


class Progress(Protocol):
    """Who listens while an export runs; the command line draws it."""

    def start(self, stage: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None:
        """How far a download inside the stage is, in bytes."""
        ...

    def step(self, done: int, total: int | None) -> None:
        """How far a stage is that works in steps."""
        ...

    def finish(self, stage: str) -> None:
        """The stage is done; of one that failed nothing more is heard."""
        ...


class Silent:
    """A Progress that shows nothing: the default in Python."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *raised: object) -> None: ...

    def start(self, stage: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...

    def step(self, done: int, total: int | None) -> None: ...

    def finish(self, stage: str) -> None: ...
