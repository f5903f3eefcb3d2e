"""What each form of a construct costs on a core: measured by benchmarks/forms.py, read wherever a form is chosen.

A cost is a line: so much per element of the result, per pixel of it, and per call. Its unit is one instruction of one
inference on an ARM core, one nanosecond of CPU time on x86; forms are compared on one core, so the unit falls out.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import prod
from typing import Literal, get_args

Tune = Literal["a53", "a72", "a76", "x86"]
TUNES: tuple[Tune, ...] = get_args(Tune)
UNTUNED: tuple[Tune, ...] = ("a53", "a76")
"""Without `--tune`: the geometric mean of a phone's small core and its large one."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Per element, per pixel, per multiply-accumulate, and per call."""

    element: float = 0.0
    pixel: float = 0.0
    mac: float = 0.0
    call: float = 0.0

    def of(self, elements: int, pixels: int, macs: int = 0) -> float:
        return max(0.0, self.element * elements + self.pixel * pixels + self.mac * macs + self.call)


Table = Mapping[str, Mapping[str, Mapping[str, Cost]]]
"""construct -> form -> core -> what it costs."""


@cache
def costs() -> Table:
    """The measured table."""
    text = (files("edgekit") / "costs.toml").read_text(encoding="utf-8")
    return {
        construct: {form: {core: Cost(**line) for core, line in by_core.items()} for form, by_core in forms.items()}
        for construct, forms in tomllib.loads(text).items()
    }


def price(
    construct: str, form: str, *, elements: int, pixels: int = 1, macs: int = 0, tune: Tune | None = None
) -> float:
    """What a form of that size costs on the cores that a file is tuned for: their geometric mean.

    Args:
        elements, pixels: of its result, f32[1, C, H, W]: C * H * W and H * W.
        macs: multiply-accumulates, where it has any.
    """
    by_core = costs()[construct][form]
    cores = UNTUNED if tune is None else (tune,)
    return float(prod(by_core[core].of(elements, pixels, macs) for core in cores) ** (1 / len(cores)))


def cheapest(
    construct: str, forms: tuple[str, ...], *, elements: int, pixels: int = 1, tune: Tune | None = None
) -> str:
    """The form of least price; the first one of equal ones."""
    return min(forms, key=lambda form: price(construct, form, elements=elements, pixels=pixels, tune=tune))
