"""docs/breadth.md from the record of benchmarks/breadth.py."""

from collections.abc import Mapping, Sequence
from typing import Any

from breadth_models import Subject

Record = Mapping[tuple[str, str], Mapping[str, Any]]


def breadth_markdown(record: Record, subjects: Sequence[Subject]) -> str:
    return ""
