"""What was measured of every zoo model: the record beside the models, which `benchmarks/zoo.py` writes."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

RECORD = "measured.json"
"""The file beside the models."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The record: one document a model (see `benchmarks/zoo.py`)."""

    models: dict[str, dict[str, Any]]


def load_measured() -> Measured:
    """The record that this version of edgekit ships."""
    document = json.loads((files("edgekit.models") / RECORD).read_text(encoding="utf-8"))
    return Measured(document["models"])
