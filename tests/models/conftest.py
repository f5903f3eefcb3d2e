"""Figures of the reference implementations."""

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def facts(reference: Path) -> dict[str, dict[str, Any]]:
    """`library/id` -> parameters, MACs and more, measured from the reference."""
    document: dict[str, dict[str, Any]] = json.loads((reference / "facts.json").read_text())["models"]
    return document


@pytest.fixture(scope="session")
def grids(reference: Path) -> dict[str, dict[str, list[int]]]:
    """`family_grid` -> `width_pixels` -> [parameters, MACs]."""
    document: dict[str, dict[str, list[int]]] = json.loads((reference / "facts.json").read_text())["extra_measurements"]
    return document


@pytest.fixture(scope="session")
def golden(reference: Path) -> dict[str, dict[str, Any]]:
    """`library/id` -> figures of the logits that the golden weights and input give."""
    document: dict[str, dict[str, Any]] = json.loads((reference / "golden.json").read_text())
    return document
